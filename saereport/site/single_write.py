"""Write a run as one HTML file: within limits, and only over a file of the same kind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from saereport.run import Run
from saereport.run.bundle import bundle
from saereport.site.folder import MANIFEST, RUN_FOLDER
from saereport.site.single import GENERATOR, SingleSink, without_run
from saereport.util.errors import SaereportError, UsageError
from saereport.util.files import real_path, reserved, write_atomically
from saereport.util.inside import read_inside
from saereport.util.progress import Progress
from saereport.util.version import __version__

MB = 10**6
__all__ = [
    "html_of",
    "require_single_or_nothing",
    "size_of_pages",
    "without_run",
    "write_single",
]

WARN_ABOVE = 20 * MB
REFUSE_ABOVE = 50 * MB
ENDINGS = (".html", ".htm")
_HEAD = 8192
_LISTED = 6


def require_single_or_nothing(out: Path) -> None:
    """Refuse a target that is anything but a report in one file.

    Raises:
        UsageError: The name is not that of an HTML file.
        SaereportError: There is a folder, or a file that was not written here.
    """
    if out.suffix.lower() not in ENDINGS:
        raise UsageError(f"'{out}' is not the name of an HTML file.", "Name one, '--out x.html'.")
    if not out.exists():
        return
    hint = "Give another name, or remove it."
    if not out.is_file():
        raise SaereportError(f"'{out}' is a folder.", hint)
    with out.open("rb") as stream:
        if GENERATOR.encode() not in stream.read(_HEAD):
            raise SaereportError(f"'{out}' exists and is not a report in one file.", hint)


def write_single(
    run: Run,
    out: Path,
    *,
    embed_neuronpedia: bool = False,
    with_run: bool = True,
    force: bool = False,
    progress: Progress | None = None,
) -> None:
    """Make the report of a run as one HTML file, which takes the place of an older one when whole.

    Args:
        run: The run.
        out: The file.
        embed_neuronpedia: As for `render`.
        with_run: As for `render`.
        force: Write it however large it is.
        progress: Where to show progress, and the warning that it is large.

    Raises:
        SaereportError: The file would be too large, or there is something else of this name.
    """
    from saereport.site import report_of, write

    progress = progress or Progress(quiet=True)
    out = real_path(out)
    within = run.size * 4 // 3 if with_run else 0
    if within > REFUSE_ABOVE and not force:
        raise _too_large(within, [("the run itself", within)])
    with reserved(out, require_single_or_nothing, room=within):
        report = report_of(run, embed_neuronpedia=embed_neuronpedia, with_run=with_run)
        sink = SingleSink(report)
        write(report, sink, progress)
        made = sink.finished(bundled=bundle(run) if with_run else "")
        size = made.size
        if size > REFUSE_ABOVE and not force:
            raise _too_large(size, made.parts)
        if size > WARN_ABOVE:
            progress.say(f"The file has {_megabytes(size)}: {_listed(made.parts)}. {_ADVICE}")
        require_single_or_nothing(out)
        page = made.html.encode("utf-8")
        if not out.is_file() or out.read_bytes() != page:
            write_atomically(out, page)


def html_of(run: Run) -> str:
    """The report of a run as one HTML text, without the run itself.

    Raises:
        SaereportError: The run is damaged.
    """
    from saereport.site import report_of, write

    sink = SingleSink(report_of(run))
    write(sink.report, sink, Progress(quiet=True))
    return sink.finished(bundled="").html


def size_of_pages(folder: Path) -> int:
    """Bytes of a report's folder without the run in it; 0 where another saereport made it."""
    try:
        manifest = json.loads(read_inside(folder, MANIFEST))
        if manifest["saereport"] != __version__:
            return 0
        sizes = [
            int(file["bytes"])
            for file in manifest["files"]
            if not file["path"].startswith(f"{RUN_FOLDER}/")
        ]
    except (SaereportError, OSError, ValueError, RecursionError, KeyError, TypeError):
        return 0
    return sum(sizes)


_ADVICE = "Leave some latents or circuits out with 'saereport extract'."


def _too_large(size: int, parts: Sequence[tuple[str, int]]) -> SaereportError:
    return SaereportError(
        f"The file would have {_megabytes(size)}, more than {_megabytes(REFUSE_ABOVE)}: "
        f"{_listed(parts)}.",
        f"{_ADVICE[:-1]}, or give --force.",
    )


def _listed(parts: Sequence[tuple[str, int]]) -> str:
    named = [f"{name} {_megabytes(size)}" for name, size in parts[:_LISTED]]
    rest = sum(size for _, size in parts[_LISTED:])
    return ", ".join([*named, f"the rest {_megabytes(rest)}"] if rest else named)


def _megabytes(size: int) -> str:
    return f"{size / MB:,.1f} MB"
