"""The pages of the documentation that are made from the code: numbers, metrics, the interface.

Run by mkdocs (`gen-files`). A number's page is its table: what it means is said once, beside its
columns, and printed here as on the methods page of every report.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

import mkdocs_gen_files
import pyarrow as pa

import saereport
from saereport.diff.metrics import METRICS, Metric
from saereport.run import TABLES
from saereport.run.kinds import meaning
from saereport.run.table import Table

ROOT = Path(__file__).resolve().parents[1]
WRITTEN = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
"""Pages at the top of the repository, and what they are called here."""

SCOPES = {"run": "one table for the whole run", "sae": "one table for each SAE"}
MODULES = {
    "Reports": ("build", "plan", "collect", "render", "extract", "open_report", "Report"),
    "Runs": ("open_run", "compare"),
    "Settings and errors": ("BuildConfig", "SaereportError"),
}
"""The names of `saereport`, by what they are for."""

RETURNED = {
    "Reports": ("saereport.pipeline.plan.Plan",),
    "Runs": ("saereport.run.Run", "saereport.diff.Difference"),
}
"""What functions return that has no name in `saereport` itself."""


def words(kind: pa.DataType) -> str:
    """A column's type as a reader of Parquet files knows it."""
    if pa.types.is_list(kind):
        return f"list of {kind.value_type}"
    return str(kind)


def number(table: Table) -> Iterator[str]:
    """The page of one table."""
    yield f"# {table.title}\n"
    yield f"Table `{table.name}`, {SCOPES[table.scope]}, version {table.version}. "
    yield f"A row is told by {', '.join(f'`{name}`' for name in table.key)}.\n\n"
    yield table.definition.replace("<", "&lt;") + "\n\n"
    yield "| column | type | holds |\n|---|---|---|\n"
    for column in table.columns:
        yield f"| `{column.name}` | {words(column.type)} | {meaning(type(column.holds))} |\n"
    place = f'run.table("{table.name}"' + (', "slug")' if table.scope == "sae" else ")")
    yield f'\n```python\nrun = saereport.open_run("report")\n{place}\n```\n'


def metric(name: str, one: Metric) -> Iterator[str]:
    """The part of one metric of comparisons on their page."""
    yield f"## {one.title} {{ #{name.replace('.', '-')} }}\n\n"
    stage = f", from the stage `{one.stage}`" if one.stage else ""
    yield f"`{name}`, of {one.scope}{stage}, tolerance {one.tolerance:g}.\n\n"
    yield one.definition.replace("<", "&lt;") + "\n\n"


def interface(title: str, names: tuple[str, ...]) -> Iterator[str]:
    """A page of the Python interface."""
    yield f"# {title}\n\n"
    for name in names:
        home = getattr(saereport, name)
        yield f"::: {home.__module__}.{home.__qualname__}\n"
        yield f"    options:\n      heading: saereport.{name}\n      heading_level: 2\n\n"
    for path in RETURNED.get(title, ()):
        yield f"::: {path}\n    options:\n      heading_level: 2\n\n"


def moved(text: str, folder: str = "") -> str:
    """A page from a folder of the repository with its links as they are here."""

    def link(match: re.Match[str]) -> str:
        target, _, anchor = match[2].partition("#")
        anchor = f"#{anchor}" if anchor else ""
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        path = posixpath.normpath(posixpath.join(folder, target))
        if path in WRITTEN:
            return f"{match[1]}({WRITTEN[path]}{anchor})"
        if path.startswith("docs/"):
            return f"{match[1]}({path.removeprefix('docs/')}{anchor})"
        # What is no part of the documentation stays a name.
        return match[1].lstrip("!").strip("[]")

    return re.sub(r"(!?\[[^\]]*\])\(([^)\s]+)\)", link, text)


def write(path: str, text: str) -> None:
    """Write a page."""
    with mkdocs_gen_files.open(path, "w") as page:
        page.write(text)


def main() -> None:
    """Write all pages, and the list of them."""
    listed = sorted({name for names in MODULES.values() for name in names})
    if listed != sorted(saereport.__all__):
        raise ValueError(f"the interface's pages name {listed}")
    summary = ["- [saereport](index.md)\n"]
    for source, target in WRITTEN.items():
        write(target, moved((ROOT / source).read_text(encoding="utf-8")))
    summary.append("- Guides\n")
    for guide in sorted((ROOT / "docs").glob("*.md")):
        text = guide.read_text(encoding="utf-8")
        title = text.splitlines()[0].lstrip("# ")
        write(guide.name, moved(text, "docs"))
        summary.append(f"    - [{title}]({guide.name})\n")
    summary.append("- Numbers\n")
    for table in TABLES.values():
        write(f"numbers/{table.name}.md", "".join(number(table)))
        summary.append(f"    - [{table.title}](numbers/{table.name}.md)\n")
    metrics = "".join(part for name, one in METRICS.items() for part in metric(name, one))
    write("metrics.md", f"# Metrics of comparisons\n\n{metrics}")
    summary.append("- [Metrics of comparisons](metrics.md)\n")
    summary.append("- Python\n")
    for title, names in MODULES.items():
        path = f"api/{title.lower().replace(' ', '-')}.md"
        write(path, "".join(interface(title, names)))
        summary.append(f"    - [{title}]({path})\n")
    summary += [
        "- [Changes](changelog.md)\n",
        "- [Contributing](contributing.md)\n",
        "- [Security](security.md)\n",
    ]
    write("SUMMARY.md", "".join(summary))


main()
