"""A report as a Python object: what `render`, `build` and `extract` return, shown in a notebook.

In Jupyter the object displays itself: the whole report in a frame, without a server. The frame is
sandboxed (scripts, downloads and popups, but no origin of its own), so nothing in a report can
reach the notebook around it. A report that is too large for a notebook is summed up instead.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from weakref import finalize

from markupsafe import Markup

from saereport.plugins import load_plugins
from saereport.run import Run
from saereport.run.bundle import opened_run
from saereport.util.errors import SaereportError
from saereport.util.visible import visible_text

INLINE_LIMIT = 8 * 10**6
"""Bytes of a report that is shown whole inside a notebook."""
HEIGHT = 760
"""Of the frame, in pixels."""

_FRAME = (
    '<iframe sandbox="allow-scripts allow-downloads allow-popups" title="{title}" width="100%" '
    'height="{height}" frameborder="0" srcdoc=\'{page}\'></iframe>'
)
_SUMMARY = Markup(
    "<div><p><strong>{title}</strong></p>"
    "<p>{model}; {tokens} tokens of {text}</p><ul>{saes}</ul><p>{advice}</p></div>"
)
_SAE = Markup("<li>{label}: {shown} of {width} latents</li>")


@dataclass(frozen=True)
class Report:
    """A report, or a run that has no pages yet.

    Attributes:
        path: Folder of the report, or its single file. The object itself can be given wherever a
            path is expected.
        made_from: Where its run lies if that is not in it; None if it is.
    """

    path: Path
    made_from: Path | None = None

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def __repr__(self) -> str:
        info = self.run.info
        shown = sum(sae.n_chosen for sae in info.saes)
        title = visible_text(info.title)
        return f"<Report '{self.path}': {title}, {len(info.saes)} SAEs, {shown:,} latents>"

    @cached_property
    def run(self) -> Run:
        """The run that the report was made from.

        That of a single file lies in a temporary folder for as long as this object lives.

        Raises:
            SaereportError: It is missing or damaged.
        """
        stack = ExitStack()
        finalize(self, stack.close)
        return stack.enter_context(opened_run(self.made_from or self.path))

    @property
    def page(self) -> Path:
        """The file to open in a browser."""
        return self.path if self.path.is_file() else self.path / "index.html"

    def _repr_html_(self) -> str:
        page, size = _page(self)
        if not page or size > INLINE_LIMIT:
            return str(self._summary(size))
        # Single quotes around it: a report is full of double ones.
        inside = page.replace("&", "&amp;").replace("'", "&#39;")
        title = Markup.escape(visible_text(self.run.info.title))
        return _FRAME.format(title=title, height=HEIGHT, page=inside)

    def _summary(self, size: int) -> Markup:
        info = self.run.info
        if size:
            advice = (
                f"With {size / 10**6:,.0f} MB it is too large for a notebook: open '{self.page}' "
                "in a browser, or take a part of it with saereport.extract."
            )
        elif self.page.is_file():
            advice = f"Open '{self.page}' in a browser."
        else:
            advice = "It has no pages yet: make them with saereport.render."
        return _SUMMARY.format(
            title=visible_text(info.title),
            model=visible_text(info.model.name),
            tokens=f"{info.text.n_tokens:,}",
            text=visible_text(info.text.name),
            saes=Markup("").join(
                _SAE.format(
                    label=visible_text(sae.label), shown=f"{sae.n_chosen:,}", width=f"{sae.d_sae:,}"
                )
                for sae in info.saes
            ),
            advice=advice,
        )


def open_report(path: Path | str) -> Report:
    """A report's folder, its single file, or a run, as an object that a notebook shows.

    Raises:
        SaereportError: There is none, or its run is damaged.
    """
    report = Report(Path(path))
    report.run  # noqa: B018 - what cannot be opened is said here, not when it is shown
    return report


def _page(report: Report) -> tuple[str, int]:
    """The report as one HTML text without its run, and its bytes, about those of its folder.

    The text is empty where there are no pages to show, or more than fit in.
    """
    from saereport.site.single_write import html_of, size_of_pages, without_run

    path = report.path
    if path.is_file():
        page = without_run(path.read_text(encoding="utf-8"))
        return page, len(page.encode("utf-8"))
    size = size_of_pages(path)
    if not 0 < size <= INLINE_LIMIT:
        return "", size
    load_plugins()
    try:
        return html_of(report.run), size
    except SaereportError:
        # Its run is damaged: the pages open in a browser, which is what the summary says.
        return "", 0
