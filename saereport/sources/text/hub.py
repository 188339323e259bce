"""Datasets of the Hugging Face hub as text: streamed, by name only, and no code of theirs is run.

A name leads to the hub and nowhere else. Where an SAE's metadata names its training text, that is
a stranger's word: only `owner/name` is followed, never a path, a web address, or a name that a
library would take for a file format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from saereport.sources.text.documents import (
    Document,
    Kind,
    document,
    holds_something,
    kind_of,
    mask_column,
    of_kind,
    require_meant,
)
from saereport.sources.text.text import Placed, Text, choose_column, passed_over
from saereport.util.errors import SaereportError, UsageError, shortened

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_ADDRESS = re.compile(
    r"(?:https?://)?(?:www\.)?huggingface\.co/datasets/([^/?#@]+/[^/?#@]+)"
    r"(?:/tree/(?P<tree>[^?#]+?))?/?"
)
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}")
_BEGINNING = 256
"""Rows in which something is looked for that says what the column holds."""


def is_hub_name(name: str) -> bool:
    """Whether a text is `owner/name`, as datasets on the hub are called."""
    parts = name.split("/")
    return len(parts) == 2 and all(
        _NAME.fullmatch(part)
        and ".." not in part
        and "--" not in part
        and not part.endswith((".", "-", ".git"))
        for part in parts
    )


def training_text(value: Any, slug: str) -> str:
    """The dataset that an SAE's metadata names as its training text.

    Args:
        value: What stands in the metadata as `dataset_path`.
        slug: The SAE, for messages.

    Raises:
        SaereportError: It is not the name of a dataset on the hub, and so is not followed.
    """
    ask = "Give the text with --dataset: a Hugging Face dataset, a file, a folder or 'demo'."
    if value is None or value == "":
        raise SaereportError(f"The metadata of the SAE {slug} names no text.", ask)
    if isinstance(value, str) and is_hub_name(value):
        return value
    if not isinstance(value, str):
        raise SaereportError(
            f"The metadata of the SAE {slug} holds no name of a training text, but "
            f"{type(value).__name__}.",
            ask,
        )
    last = PurePosixPath(PureWindowsPath(value).as_posix()).name[:80] or "a path"
    raise SaereportError(
        f"The metadata of the SAE {slug} names as its training text '{last}', which is not a "
        f"dataset on the Hugging Face hub (owner/name); it is not looked for on this machine.",
        ask,
    )


def pinned(name: str, revision: str | None) -> tuple[str, str | None]:
    """A dataset's name on the hub, and the revision that is asked for.

    Args:
        name: Its name, `name@revision`, or its address on the hub.
        revision: The revision where it is said apart.

    Raises:
        UsageError: Two revisions are asked for, or one that none can be called.
    """
    if found := _ADDRESS.fullmatch(name):
        name, own = found[1], found["tree"]
    else:
        name, at, own = name.partition("@")
        own = own if at else None
    if own is not None and revision is not None and own != revision:
        raise UsageError(
            f"Two revisions of the dataset '{name}' are asked for: '{own}' and '{revision}'.",
            "Leave one of them out.",
        )
    asked = revision if own is None else own
    if asked is not None and (not _REVISION.fullmatch(asked) or ".." in asked):
        raise UsageError(
            f"No revision of a dataset can be called '{shortened(asked, 60)}'.",
            "Name a branch, a tag or a commit.",
        )
    return name, asked


def open_dataset(
    name: str,
    *,
    column: str | None = None,
    split: str = "train",
    config: str | None = None,
    revision: str | None = None,
) -> Text:
    """Open a dataset of the hub, even where a local folder is called the same.

    Args:
        name: Its name, `name@revision`, or its address on the hub.
        column: As in `open_text`, and so on.
        split: Its split.
        config: Its configuration, where it has several.
        revision: Its revision, where not the newest.

    Raises:
        UsageError: Two revisions are named.
        SaereportError: There is no such dataset, or it is empty or cannot be read as text.
    """
    name, asked = pinned(name, revision)
    _check_name(name)
    # What is recorded is what is read, though someone may push to the dataset meanwhile.
    commit = _commit(name, asked)
    rows = _Rows(name, split, config, commit)
    first = rows.first()
    names = list(first)
    chosen = choose_column(names, column, f"The dataset '{name}'")
    mask = mask_column(chosen, names)
    columns = [chosen] if mask is None else [chosen, mask]
    kind = rows.kind(columns, first)
    if column is None:
        require_meant(chosen, kind, f"The dataset '{name}'")
    provenance = {
        "kind": "dataset",
        "dataset": name,
        "config": config,
        "split": split,
        "column": chosen,
        "revision": commit,
    }
    over = tuple(passed_over(names, chosen)) if column is None else ()
    return Text(name, provenance, kind, lambda: rows.documents(columns, kind), passed_over=over)


@dataclass(frozen=True)
class _Rows:
    """The rows of a dataset of the hub, streamed from the beginning at each asking."""

    name: str
    split: str
    config: str | None
    revision: str | None

    def _load(self) -> Any:
        import datasets

        from saereport.sources.hub import hub_access
        from saereport.sources.quiet import quietly

        # `load_dataset` prefers a folder in the working directory; with this prefix it does not.
        path = f"hf://datasets/{self.name}" if Path(self.name).exists() else self.name
        with hub_access(), quietly():
            return datasets.load_dataset(
                path, self.config, split=self.split, streaming=True, revision=self.revision
            )

    def first(self) -> dict[str, Any]:
        """The first row.

        Raises:
            SaereportError: There is no such dataset, it cannot be read, or it has no row.
        """
        from saereport.sources.hub import hub_access

        try:
            with hub_access():
                row: dict[str, Any] | None = next(iter(self._load()), None)
        except Exception as error:
            raise self._explained(error) from error
        if row is None:
            text = f"The dataset '{self.name}' has nothing in its split '{self.split}'."
            raise SaereportError(text)
        return row

    def kind(self, columns: Sequence[str], first: dict[str, Any]) -> Kind:
        """What the first of these columns holds, by the first of its rows that hold something."""
        found = document(first, columns[0], f"{self.name}: row 1")
        if found is not None and holds_something(found):
            return kind_of(found)
        for _, found in islice(self._found(columns), _BEGINNING):
            if found is not None and holds_something(found):
                return kind_of(found)
        return "text"

    def documents(self, columns: Sequence[str], kind: Kind) -> Iterator[Placed]:
        """The documents in the first of these columns; the other is its attention mask."""
        for where, found in self._found(columns):
            yield where, of_kind(found, kind, columns[0], where)

    def _found(self, columns: Sequence[str]) -> Iterator[tuple[str, Document | None]]:
        try:
            rows = self._load()
            if rows.column_names:
                rows = rows.select_columns(list(columns))
            for number, row in enumerate(rows, 1):
                where = f"{self.name}: row {number:,}"
                yield where, document(row, columns[0], where)
        except SaereportError:
            raise
        except Exception as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> SaereportError:
        return _explain(self.name, self.split, self.revision, error)


def _check_name(name: str) -> None:
    from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES

    if name in _PACKAGED_DATASETS_MODULES:
        raise SaereportError(
            f"'{name}' is a file format, not a dataset.", "Name the file itself with --dataset."
        )
    if not is_hub_name(name) and not is_hub_name(f"owner/{name}"):
        raise SaereportError(
            f"There is neither a file '{name}' nor can a Hugging Face dataset be called that.",
            "Datasets on the hub are called owner/name.",
        )


def _commit(name: str, revision: str | None) -> str | None:
    """The commit that a revision is now; what was asked for where the hub does not say it.

    Raises:
        SaereportError: There is no such revision.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RevisionNotFoundError

    from saereport.sources.hub import hub_access

    try:
        with hub_access():
            return str(HfApi().dataset_info(name, revision=revision, timeout=10).sha)
    except RevisionNotFoundError as error:
        raise _no_revision(name, revision) from error
    except Exception:
        return revision  # offline: what was asked for is all that is known


def _no_revision(name: str, revision: str | None) -> SaereportError:
    return SaereportError(
        f"The dataset '{name}' has no revision '{shortened(str(revision), 60)}'.",
        "Name a branch, a tag or a commit with --dataset-revision.",
    )


def _explain(name: str, split: str, revision: str | None, error: Exception) -> SaereportError:
    from saereport.sources.hub import is_offline

    text = " ".join(str(error).split())
    short = text[:120] + ("…" if len(text) > 120 else "")
    kinds = {type(error).__name__, type(error.__cause__).__name__}
    if "RevisionNotFoundError" in kinds or "Revision '" in text:
        return _no_revision(name, revision)
    if "Unknown split" in text or "Bad split" in text:
        return SaereportError(
            f"The dataset '{name}' has no split '{split}': {short}",
            "Name one with --dataset-split.",
        )
    if "Config name is missing" in text or "BuilderConfig" in text:
        return SaereportError(
            f"The dataset '{name}' needs another configuration: {short}",
            "Name one with --dataset-config.",
        )
    if "Dataset scripts are no longer supported" in text or "trust_remote_code" in text:
        return SaereportError(
            f"The dataset '{name}' is made by a script of its own, which is not run.",
            "Name its files, or another dataset, with --dataset.",
        )
    # The hub's text for a missing repository speaks of gated ones.
    if "is a gated dataset" in text or "GatedRepoError" in kinds:
        return SaereportError(
            f"The dataset '{name}' is gated on the Hugging Face hub.",
            "Accept its terms there, then log in with `hf auth login` or set HF_TOKEN.",
        )
    if is_offline(error):
        return SaereportError(
            f"The dataset '{name}' is not a local file, and the Hugging Face hub cannot be "
            f"reached.",
            "Name a local file (.txt, .jsonl, .csv, .parquet), or `demo` for the built-in text.",
        )
    if kinds & {"EmptyDatasetError", "DataFilesNotFoundError"}:
        return SaereportError(
            f"The dataset '{name}' holds no files that can be read as text.",
            "Name another one with --dataset.",
        )
    if kinds & {"DatasetNotFoundError", "RepositoryNotFoundError", "FileNotFoundError"}:
        return SaereportError(
            f"There is neither a file nor a Hugging Face dataset '{name}', or it is private."
        )
    return SaereportError(f"The dataset '{name}' cannot be read: {type(error).__name__}: {short}")
