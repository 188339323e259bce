"""Open the text that a user named."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from saereport.sources.demo import demo_text_dir
from saereport.sources.text.files import SUFFIXES, open_files
from saereport.sources.text.hub import open_dataset
from saereport.sources.text.saved import is_saved
from saereport.sources.text.text import Text
from saereport.util.errors import UsageError


def open_text(
    spec: str | Path | Sequence[str | Path],
    *,
    column: str | None = None,
    split: str = "train",
    config: str | None = None,
    revision: str | None = None,
    hashed: bool = True,
) -> Text:
    """Open a text that a user named, and read as much of it as shows that it can be read.

    Args:
        spec: A file (`.txt`: one document; `.jsonl`, `.csv`, `.tsv`, `.parquet` or `.arrow`: one a
            row), a directory of such files (in the order of their names) or one that
            `datasets.save_to_disk` wrote, several of these, the name of a Hugging Face dataset
            (streamed), or `demo`.
        column: The column that holds the text; by default the first that is there of `text`,
            `tokens`, `input_ids`, `token_ids`, `ids`, where a column of integers is taken as token
            ids, and `messages`, `conversations`, `conversation`.
        split: Split of a Hugging Face dataset, or of a directory that `save_to_disk` wrote.
        config: Configuration of a dataset of the hub, where it has several.
        revision: Its revision, where not the newest; `owner/name@revision` says it too.
        hashed: Whether to take the hashes of files, which are their provenance.

    Raises:
        UsageError: A split, a configuration or a revision of files is named, which have none.
        SaereportError: There is no such text, or it is empty or cannot be read as text.
    """
    specs = [spec] if isinstance(spec, (str, Path)) else list(spec)
    name = str(specs[0]) if len(specs) == 1 else ""
    paths = [_expanded(item) for item in specs]
    if not is_local(name):
        return open_dataset(name, column=column, split=split, config=config, revision=revision)
    has_split = len(paths) == 1 and is_saved(paths[0])
    if (split != "train" and not has_split) or config is not None or revision is not None:
        raise UsageError(
            "Files and folders have no split, configuration or revision, as datasets of the hub "
            "have.",
            "Leave --dataset-split, --dataset-config and --dataset-revision out, and name the "
            "files to read.",
        )
    if name == "demo":
        opened = open_files([Path(demo_text_dir())], column, hashed=hashed)
        return replace(opened, name="demo text")
    return open_files(paths, column, split=split, hashed=hashed)


def _expanded(spec: str | Path) -> Path:
    try:
        return Path(spec).expanduser()
    except RuntimeError:
        return Path(spec)  # there is no such user: the name leads nowhere


def is_local(spec: str) -> bool:
    """Whether a text is on this machine, or was meant to be, and is no dataset of the hub."""
    return spec in ("", "demo") or os.path.lexists(_expanded(spec)) or _looks_like_path(spec)


def _looks_like_path(spec: str) -> bool:
    """Whether a text that is not there was meant as a file or a folder, not as a dataset's name."""
    name = spec.partition("@")[0]  # a revision can be called anything
    return (
        name.endswith(SUFFIXES)
        or name.startswith((".", "/", "~"))
        or "\\" in spec
        or (name.count("/") > 1 and "://" not in spec)
    )
