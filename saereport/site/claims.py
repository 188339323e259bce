"""Which part of a report has which file, so that none writes over another's or outside."""

from __future__ import annotations

from saereport.site.folder import ASSETS, MANIFEST, NOJEKYLL, RUN_FOLDER
from saereport.util.errors import SaereportError
from saereport.util.inside import is_relative
from saereport.util.visible import visible_text

_OWN = frozenset({ASSETS, MANIFEST, NOJEKYLL, RUN_FOLDER})
"""What no part makes: the first name of a path."""


class Claims:
    """The files that the parts of a report have taken so far."""

    def __init__(self) -> None:
        # Some file systems hold only one of two spellings.
        self._files: dict[str, str] = {}
        self._folders: dict[str, str] = {}

    def take(self, part: str, path: str) -> None:
        """A part wants to write a file.

        Raises:
            SaereportError: It is not the part's to write: outside of the report, the report's own,
                or another part's.
        """
        shown, folded = visible_text(path[:120]), path.casefold()
        if not is_relative(path):
            raise _refused(part, f"would write outside of it, '{shown}'")
        if folded.partition("/")[0] in _OWN:
            raise _refused(part, f"would write '{shown}', which every report has itself")
        parents = [folded[:i] for i, letter in enumerate(folded) if letter == "/"]
        others = (self._files.get(folded), self._folders.get(folded))
        first = next((p for p in (*others, *map(self._files.get, parents)) if p), part)
        if first != part:
            raise SaereportError(
                f"The parts '{first}' and '{part}' of a report both have the file '{shown}'.",
                "Render without the plug-in that brings one of them.",
            )
        self._files[folded] = part
        self._folders.update(dict.fromkeys(parents, part))


def _refused(part: str, what: str) -> SaereportError:
    return SaereportError(
        f"The part '{visible_text(part)}' of a report {what}.",
        "Render without the plug-in that brings it.",
    )
