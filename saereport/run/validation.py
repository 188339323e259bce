"""Whether what a run's files say can be, checked when a table is opened.

A SHA-256 says that a file is the one that `run.json` names, not that either of them makes sense:
anyone can write a run with right sums and absurd contents. Everything that reads a run relies on
what is checked here, so that damage is told once, at the door, in one line.

What a column may hold follows from its name, which means the same in every table (see `tables`);
the exceptions are written down beside the rule. A table is checked one row group after the other
and text as a dictionary, so that a file that grows a thousand times when it is read is refused
before it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from saereport.limits import TEXT_BYTES, TOKEN_IDS
from saereport.names import SLUG, is_prompt_slug, is_slug
from saereport.run.schema import RunInfo
from saereport.run.table import Table
from saereport.run.tables import QUANTILES

TOKENS: Final = TOKEN_IDS
"""Token ids lie below."""
LATENTS: Final = 2**24
"""Latents of one SAE at most."""
POSITIONS: Final = 2**20
"""Tokens of one sequence at most."""
COUNT: Final = 2**53
"""Whole numbers up to here are exact in double precision, as JSON is often read."""
LARGEST: Final = 1e30
"""Larger numbers are no measurement, and their squares no longer fit a single-precision float."""

ROWS: Final = 2**28
GROUP_ROWS: Final = 2**17
GROUP_VALUES: Final = 2**27
VALUES: Final = 2**30
TEXT_TOTAL: Final = 2**30

Numbers = np.ndarray[Any, Any]


class InvalidTable(ValueError):
    """What is wrong with a table or a file, in words that follow the name of the file."""


@dataclass(frozen=True)
class Lengths:
    """How many tokens each sequence or prompt has; `numbers` rise."""

    numbers: Numbers
    lengths: Numbers

    def of(self, numbers: Numbers) -> Numbers:
        """The lengths of some of them; -1 where there is none."""
        if not len(self.numbers):
            return np.full(len(numbers), -1, np.int64)
        rows = np.minimum(np.searchsorted(self.numbers, numbers), len(self.numbers) - 1)
        found: Numbers = np.where(self.numbers[rows] == numbers, self.lengths[rows], -1)
        return found


@dataclass(frozen=True)
class Place:
    """Where a table stands.

    Attributes:
        info: The run that it belongs to.
        slug: The SAE that it is about; None for a table of the run.
        lengths: Gives the lengths of `sequences` or of `prompts`; None where the run lacks them.
    """

    info: RunInfo
    slug: str | None
    lengths: Callable[[str], Lengths | None]

    @property
    def n_latents(self) -> int:
        """How many latents the SAE has; as many as there can be where the run does not say."""
        return (self.info.sae(self.slug).d_sae if self.slug else 0) or LATENTS


_POSITION = (0, POSITIONS - 1)
_TOKEN = (0, TOKENS - 1)
_LATENT = (0, LATENTS - 1)
_LATENT_OR_NONE = (-1, LATENTS - 1)
_PLACE_IN_MODEL = (-1, 4096)
WHOLE: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("token", "tokens", "top_tokens", "bottom_tokens"), _TOKEN),
    **dict.fromkeys(("other", "top_latents", "bottom_latents", "late_latent"), _LATENT),
    **dict.fromkeys(("latent", "early_latent"), _LATENT_OR_NONE),
    **dict.fromkeys(("position", "start", "first", "period", "active_positions"), _POSITION),
    **dict.fromkeys(("early_position", "late_position"), _POSITION),
    **dict.fromkeys(("layer", "head"), _PLACE_IN_MODEL),
    "stop": (0, POSITIONS),
    "source": (-POSITIONS, COUNT),
    "answer": (-1, TOKENS - 1),
    "document": (-1, COUNT),
    "documents": (-1, COUNT),
    "prompt": (0, 2**20),
    # Powers of two of single-precision floats, and quarters of them.
    "exponent": (-200, 200),
    "log_first": (-800, 800),
}
"""Bounds of whole numbers, ends included; counts, ranks and numbers lie in [0, `COUNT`]."""
HIDDEN = {
    "example_influences": "token",
    "example_heads": "sequence",
    "example_components": "sequence",
}
"""Columns that are -1 where a latent is blind and its texts are not told."""
_SHARE, _COSINE = (0.0, 1.001), (-1.01, 1.01)
REAL: dict[str, tuple[float, float]] = {
    **dict.fromkeys(
        ("density", "kept_share", "early_share", "late_share", "probability", "jaccard"), _SHARE
    ),
    **dict.fromkeys(("encoder_decoder_cosine", "pearson"), _COSINE),
    **dict.fromkeys(("share", "shares", "influence", "node_threshold", "edge_threshold"), _SHARE),
    **dict.fromkeys(("max", "std_active", "mean_active", "width"), (0.0, LARGEST)),
    **dict.fromkeys(("lift", "lift_low"), (0.0, LARGEST)),
    **dict.fromkeys(("std", "encoder_norm", "decoder_norm", "strength"), (0.0, LARGEST)),
}
"""Bounds of other numbers, with room for rounding; elsewhere up to `LARGEST` either way.

What imported files give (`contains`, `cosine`) is kept as they give it.
"""

_NAME = re.compile(f"(?:{SLUG})?")
WORDS: dict[str, re.Pattern[str]] = {
    **dict.fromkeys(("sae", "early", "late", "splice", "saes"), _NAME),
    "group": re.compile(r"top|(?:interval|quantile):\d{1,4}"),
    "order": re.compile(r"share|lift|pearson|jaccard"),
    "kind": re.compile(r"raw|extended|text|ids|random|embedding|latent|error|logit"),
}
"""What text may be where it is not free."""

TOGETHER = (
    ("tokens", "documents"),
    ("tokens", "counted"),
    ("tokens", "values"),
    ("active_positions", "active_values"),
    ("top_tokens", "top_values"),
    ("bottom_tokens", "bottom_values"),
    ("top_latents", "top_values"),
    ("bottom_latents", "bottom_values"),
    ("centres", "counts"),
)
"""List columns of one table that have equally many entries in every row."""
FILLED = ("centres", "shares")
"""List columns that have an entry in every row."""
UNIFORM = ("direction", "heads", "mlps")
"""List columns of tables of one SAE that have equally many entries in all rows."""
LISTS: dict[str, int] = {
    **dict.fromkeys(("tokens", "documents", "counted"), POSITIONS),
    **dict.fromkeys(("active_positions", "active_values", "sources"), POSITIONS),
    "values": GROUP_VALUES,
}
"""Entries of one list at most; elsewhere 65,536."""


def check_file(path: Path, table: Table, n_rows: int) -> None:
    """What a Parquet file says about itself, before anything is read from it.

    Args:
        path: The file.
        table: What it must hold.
        n_rows: How many rows `run.json` says it has.

    Raises:
        Flaw: It has other columns or another number of rows, or would be too large in memory.
        pa.ArrowException: It is not Parquet.
    """
    with pq.ParquetFile(path) as file:
        if not file.schema_arrow.equals(table.schema):
            raise InvalidTable("its columns are not those of this table")
        about = file.metadata
        if about.num_rows != n_rows:
            raise InvalidTable(f"it has {about.num_rows:,} rows and run.json says {n_rows:,}")
        groups = [about.row_group(k) for k in range(about.num_row_groups)]
    total = 0
    for group in groups:
        if not 0 <= group.num_rows <= GROUP_ROWS:
            raise InvalidTable(
                f"it has {group.num_rows:,} rows in one group; {GROUP_ROWS:,} is the limit"
            )
        for k in range(group.num_columns):
            n_values = group.column(k).num_values
            total += n_values
            if not 0 <= n_values <= GROUP_VALUES or total > VALUES:
                raise InvalidTable("it holds more values than are read")
    if n_rows > ROWS or sum(group.num_rows for group in groups) != n_rows:
        raise InvalidTable("its row groups do not add up")


def check_content(path: Path, table: Table, place: Place) -> None:
    """Everything that a table promises, one row group after the other.

    Args:
        path: The file, which `check_file` found fit to be read.
        table: What it must hold.
        place: Where it stands.

    Raises:
        Flaw: It does not keep a promise; says which.
        pa.ArrowException: It cannot be read.
        SaereportError: A table that it refers to is damaged.
    """
    words = [n for n, kind in table.columns if pa.types.is_string(kind) or pa.types.is_binary(kind)]
    last: list[Any] | None = None
    text = 0
    names: list[str] = []
    uniform: dict[str, set[int]] = {name: set() for name in UNIFORM if table.scope == "sae"}
    with pq.ParquetFile(path, read_dictionary=words) as file:
        for k in range(file.num_row_groups):
            part = file.read_row_group(k).unify_dictionaries()
            for name in words:
                text += _check_words(table, name, part.column(name))
            if text > TEXT_TOTAL:
                raise InvalidTable("it holds more text than is read")
            last = _check_part(table, part, place, last)
            for name in uniform.keys() & set(part.column_names):
                lengths = pc.list_value_length(part.column(name))
                uniform[name].update(pc.unique(lengths).to_pylist())
            if table.name == "prompts":
                names += part.column("slug").to_pylist()
    if len(set(names)) != len(names):
        raise InvalidTable("two prompts share a slug")
    for name, found in uniform.items():
        if len(found) > 1:
            raise InvalidTable(f"'{name}' has not equally many entries in all rows")


def _check_part(table: Table, part: pa.Table, place: Place, last: Any) -> list[Any] | None:
    """One row group; returns the key of its last row."""
    if not part.num_rows:
        return None if last is None else list(last)
    lengths = {}
    columns: dict[str, Numbers] = {}
    for name, kind in table.columns:
        column = part.column(name).combine_chunks()
        if pa.types.is_list(kind):
            lengths[name] = pc.list_value_length(column).to_numpy(zero_copy_only=False)
            _check_lengths(table, name, lengths[name])
            column, kind = column.flatten(), kind.value_type
            if pa.types.is_string(kind):
                column.validate(full=True)
                _check_words(table, name, pa.chunked_array([column.dictionary_encode()]))
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            columns[name] = column.to_numpy(zero_copy_only=False)
            _check_numbers(table, name, columns[name], place)
    for one, other in TOGETHER:
        if one in lengths and other in lengths and (lengths[one] != lengths[other]).any():
            raise InvalidTable(f"'{one}' and '{other}' have not equally many entries")
    n_heads = place.info.model.n_heads
    if "heads" in lengths and (not n_heads or (lengths["heads"] % n_heads).any()):
        raise InvalidTable(f"'heads' has not an entry for each of the model's {n_heads:,} heads")
    _check_places(table, columns, lengths, place)
    return _check_order(table, part, last)


def _check_words(table: Table, name: str, column: pa.ChunkedArray) -> int:
    """Text as a dictionary; returns the bytes that it will take."""
    total = 0
    for chunk in column.chunks:
        chunk.dictionary.validate(full=True)
        sizes = pc.binary_length(chunk.dictionary).to_numpy(zero_copy_only=False)
        if sizes.max(initial=0) > TEXT_BYTES:
            raise InvalidTable(f"a text in '{name}' is longer than {TEXT_BYTES:,} bytes")
        used = chunk.indices.to_numpy(zero_copy_only=False)
        if len(used) and (used.min() < 0 or used.max() >= len(sizes)):
            raise InvalidTable(f"'{name}' is not text")
        total += int(sizes[used].sum()) if len(used) else 0
        pattern = WORDS.get(name)
        for word in chunk.dictionary.to_pylist() if pattern or name == "slug" else ():
            if pattern and not pattern.fullmatch(word):
                raise InvalidTable(f"'{name}' holds {_shown(word)}, which it cannot")
            if name == "slug" and (not is_prompt_slug(word)):
                raise InvalidTable(
                    f"'{name}' holds {_shown(word)}, which cannot be the name of a file"
                )
    return total


def _check_numbers(table: Table, name: str, values: Numbers, place: Place) -> None:
    if not len(values):
        return
    if values.dtype == np.float16:
        # Infinite and not a number: every bit of the exponent is set. NumPy's minimum is slow.
        if int((values.view(np.uint16) & 0x7FFF).max()) >= 0x7C00:
            raise InvalidTable(f"'{name}' holds what is not a number")
        return
    if values.dtype.kind == "f":
        low, high = REAL.get(name, (-LARGEST, LARGEST))
        # A minimum is NaN where one of the values is, and compares as false.
        least, most = float(values.min()), float(values.max())
        if not (low <= least and most <= high):
            value = most if most > high else least
            raise InvalidTable(f"'{name}' holds {value:.6g}, outside of {low:g} to {high:g}")
        return
    low, high = WHOLE.get(name, (0, COUNT))
    if table.scope == "sae" and name in ("latent", "other"):
        low, high = 0, place.n_latents - 1
    elif table.name == "active_sketch" and name == "tokens":
        high = COUNT
    elif table.name in HIDDEN and name == HIDDEN[table.name]:
        low = -1
    least, most = int(values.min()), int(values.max())
    if not (low <= least and most <= high):
        value = most if most > high else least
        raise InvalidTable(f"'{name}' holds {value:,}, outside of {low:,} to {high:,}")


def _check_lengths(table: Table, name: str, lengths: Numbers) -> None:
    most = LISTS.get(name, 65_536)
    if lengths.max(initial=0) > most:
        raise InvalidTable(f"a list in '{name}' has more than {most:,} entries")
    if name in FILLED and not lengths.min(initial=1):
        raise InvalidTable(f"a list in '{name}' is empty")
    if name == "quantile_values" and not np.isin(lengths, (0, len(QUANTILES))).all():
        raise InvalidTable(f"'{name}' has not {len(QUANTILES)} entries")
    if name == "interval" and not np.isin(lengths, (0, 2)).all():
        raise InvalidTable(f"'{name}' has not two ends")


def _check_places(
    table: Table, columns: dict[str, Numbers], lengths: dict[str, Numbers], place: Place
) -> None:
    """Positions lie in the text that they are positions of."""
    whose = next((name for name in ("sequence", "prompt") if name in columns), None)
    if whose is None or table.name in ("sequences", "prompts"):
        return
    known = place.lengths(f"{whose}s")
    if known is None:
        return
    size = known.of(columns[whose])
    if HIDDEN.get(table.name) == whose:
        size = np.where(columns[whose] < 0, POSITIONS, size)
    if (size < 0).any():
        number = int(columns[whose][int(np.argmax(size < 0))])
        raise InvalidTable(f"it names the {whose} {number:,}, which the run does not hold")
    for name in ("position", "early_position", "late_position", "start"):
        if name in columns and (columns[name] >= size).any():
            raise InvalidTable(f"a '{name}' lies behind the end of its {whose}")
    if table.name == "influences":
        source = columns["source"]
        if (source < 0).any() or (source >= size).any():
            raise InvalidTable("a 'source' lies outside of its prompt")
    if "stop" in columns:
        start, position, stop = (columns[name] for name in ("start", "position", "stop"))
        if not ((start <= position) & (position < stop) & (stop <= size)).all():
            raise InvalidTable(
                "an example does not lie in its window, or the window not in its sequence"
            )
    if "active_positions" in columns:
        rows = np.repeat(np.arange(len(size)), lengths["active_positions"])
        places = columns["active_positions"]
        rising = (np.diff(places) > 0) | (np.diff(rows) > 0)
        if (places >= size[rows]).any() or not rising.all():
            raise InvalidTable(
                "'active_positions' do not rise, or lie behind the end of their sequence"
            )
    for problem in _list_problems(table, columns, lengths, size):
        raise InvalidTable(problem)


def _list_problems(
    table: Table, columns: dict[str, Numbers], lengths: dict[str, Numbers], size: Numbers
) -> Iterator[str]:
    """Lists that have an entry for each position."""
    if table.name == "prompt_activations" and (lengths["values"] != size).any():
        yield "'values' has not one entry for each token"
    if table.name == "patterns" and (lengths["values"] != size * (size + 1) // 2).any():
        yield "'values' has not one entry for each pair of tokens"
    if table.name == "head_attributions" and (lengths["values"] % (columns["position"] + 1)).any():
        yield "'values' has not as many entries for each head"
    if table.name == "example_heads":
        start, position = columns["start"], columns["position"]
        if (lengths["sources"] != position - start + 1).any():
            yield "'sources' has not one entry for each position"


def _check_order(table: Table, part: pa.Table, last: list[Any] | None) -> list[Any]:
    """No key is there twice, and rows rise by it.

    Tables of the whole run name SAEs in the order that the run has them in, so there only a
    number at the beginning of the key need rise.
    """
    numbered = pa.types.is_integer(part.schema.field(table.key[0]).type)
    keys = []
    for name in table.key:
        key = part.column(name).combine_chunks()
        keys.append(_ranks(key) if pa.types.is_dictionary(key.type) else key.to_numpy())
    if table.scope == "run":
        ordered = not numbered or bool((np.diff(keys[0]) >= 0).all())
        order = np.lexsort(keys[::-1])
        keys = [key[order] for key in keys]
    rising = np.zeros(part.num_rows - 1, bool)
    equal = np.ones(part.num_rows - 1, bool)
    for values in keys:
        rising |= equal & (values[:-1] < values[1:])
        equal &= values[:-1] == values[1:]
    names = table.key if table.scope == "sae" else table.key[:1]
    ends = [[part.column(name)[at].as_py() for name in names] for at in (0, part.num_rows - 1)]
    if table.scope == "sae":
        ordered = last is None or last < ends[0]
    elif last is not None and numbered:
        ordered = ordered and last <= ends[0]
    if not (rising.all() and ordered):
        raise InvalidTable(
            f"its rows are not sorted by {', '.join(table.key)}, or two are the same"
        )
    return ends[1]


def _ranks(key: pa.DictionaryArray) -> Numbers:
    words = key.dictionary.to_pylist()
    order = {word: rank for rank, word in enumerate(sorted(set(words)))}
    ranks: Numbers = np.asarray([order[word] for word in words])[key.indices.to_numpy()]
    return ranks


def check_names(info: RunInfo) -> None:
    """Names in `run.json` that become names of folders.

    Raises:
        Flaw: One is a device's name somewhere, or two are the same.
    """
    slugs = sorted(sae.slug for sae in info.saes)
    for slug in slugs:
        if not is_slug(slug):
            raise InvalidTable(f"the slug '{slug}' cannot be the name of a folder everywhere")
    if any(one == other for one, other in pairwise(slugs)):
        raise InvalidTable("two SAEs share a slug")
    paths = [file.path for file in info.files]
    if len(set(paths)) != len(paths):
        raise InvalidTable("it lists a file twice")


def _shown(word: str) -> str:
    text = ascii(word)
    return text if len(text) <= 40 else f"{text[:40]}..."
