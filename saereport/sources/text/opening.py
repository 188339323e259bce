"""Open the text that a user named."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from saereport.sources.demo import demo_text_dir
from saereport.sources.text.files import SUFFIXES, open_files
from saereport.sources.text.hub import open_dataset
from saereport.sources.text.text import Text
from saereport.util.errors import UsageError


def open_text(
    spec: str | Path | Sequence[str | Path],
    *,
    column: str | None = None,
    split: str = "train",
    config: str | None = None,
    revision: str | None = None,
) -> Text:
    """Open a text that a user named, and read as much of it as shows that it can be read.

    Args:
        spec: A file (`.txt`: one document; `.jsonl` or `.parquet`: one a row), a directory of
            such files (in the order of their names), several of these, the name of a Hugging Face
            dataset (streamed), or `demo`.
        column: The column that holds the text; by default `text`, else `tokens` or `input_ids`,
            where a column of integers is taken as token ids.
        split: Split of a Hugging Face dataset.
        config: Its configuration, where it has several.
        revision: Its revision, where not the newest.

    Raises:
        UsageError: A split, a configuration or a revision of files is named, which have none.
        SaereportError: There is no such text, or it is empty or cannot be read as text.
    """
    specs = [spec] if isinstance(spec, (str, Path)) else list(spec)
    name = str(specs[0]) if len(specs) == 1 else ""
    paths = [_expanded(item) for item in specs]
    local = name in ("", "demo") or os.path.lexists(paths[0]) or looks_like_path(name)
    if not local:
        return open_dataset(name, column=column, split=split, config=config, revision=revision)
    if split != "train" or config is not None or revision is not None:
        raise UsageError(
            "Files and folders have no split, configuration or revision, as datasets of the hub "
            "have.",
            "Leave --dataset-split and --dataset-config out, and name the files to read.",
        )
    if name == "demo":
        return replace(open_files([Path(demo_text_dir())], column), name="demo text")
    return open_files(paths, column)


def _expanded(spec: str | Path) -> Path:
    try:
        return Path(spec).expanduser()
    except RuntimeError:
        return Path(spec)  # there is no such user: the name leads nowhere


def looks_like_path(spec: str) -> bool:
    """Whether a text that is not there was meant as a file or a folder, not as a dataset's name."""
    return (
        spec.endswith(SUFFIXES)
        or spec.startswith((".", "/", "~"))
        or "\\" in spec
        or (spec.count("/") > 1 and "://" not in spec)
    )
