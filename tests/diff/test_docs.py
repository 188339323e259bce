"""The page on comparing reports says what the code does."""

import re
from pathlib import Path

from saereport.diff.conditions import parse
from saereport.diff.gatefile import parse_gates
from saereport.diff.metrics import METRICS, WITHOUT_METRICS

PAGE = Path(__file__).parents[2] / "docs" / "diff.md"
BEGIN, END = "<!-- metrics: begin -->\n", "<!-- metrics: end -->\n"


def metric_table() -> str:
    """The table of all metrics, which `python -m tests.diff.test_docs` puts into the page."""
    lines = [
        "| metric | of each | stage | alone | tolerance | definition |",
        "|---|---|---|---|---|---|",
    ]
    for metric in METRICS.values():
        alone = "yes" if metric.one_sided else ""
        definition = metric.definition.replace("|", "\\|")
        lines.append(
            f"| `{metric.name}` | {metric.scope} | {metric.stage} | {alone} | {metric.tolerance:g} "
            f"| {definition} |"
        )
    lines += ["", "Stages without a metric:", ""]
    lines += [f"- `{name}`: {reason}" for name, reason in WITHOUT_METRICS.items()]
    return "\n".join(lines) + "\n"


def test_the_table_of_metrics_is_that_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page[page.index(BEGIN) + len(BEGIN) : page.index(END)] == metric_table()


def test_the_examples_are_gates() -> None:
    page = PAGE.read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert example is not None
    found = parse_gates(example.group(1), "example")
    assert (len(found.gates), found.tolerances) == (5, {"density": 0.2})
    conditions = re.findall(r"^\| `([^`]+ [<>] [^`]+)` \|", page, re.MULTILINE)
    assert len(conditions) == 5
    for text in conditions:
        assert str(parse(text)) == text


def test_one_example_is_there_for_each_stage() -> None:
    _, example = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    gates = parse_gates(example, "example").gates
    stages = [METRICS[gate.condition.metric].stage for gate in gates]
    assert len(stages) == len(set(stages))
    assert set(stages) == {metric.stage for metric in METRICS.values() if metric.stage}


def test_what_the_page_links_to_is_there() -> None:
    for name in re.findall(r"\]\(([^)]+)\)", PAGE.read_text(encoding="utf-8")):
        assert (PAGE.parent / name).is_file(), name


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    PAGE.write_text(text[:begin] + metric_table() + text[end:], encoding="utf-8")
