"""Parts of a collection as folders: made by one command for each shard, merged by another.

A part is a folder of two files: the state of its accumulators, and `part.json`, which says of what
it is a part: the whole identity of the work, and which sequences. Parts are read only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saereport.config.build import BuildConfig, config_class, make_config
from saereport.config.engine import EngineSettings
from saereport.config.paths import with_paths
from saereport.config.yaml_files import exists
from saereport.pipeline.checkpoint import FILE, Arrays, Checkpoint
from saereport.pipeline.fingerprint import differences
from saereport.pipeline.shards import Shard
from saereport.util.errors import SaereportError, UsageError, shortened
from saereport.util.files import folder_in_place_of, json_digest, sha256_of, strangers
from saereport.util.version import __version__

ABOUT = "part.json"
FORMAT = "saereport part"
VERSION = 1
MOST_SHARDS = 10_000
_MOST_NAMED = 12


def read_shard(words: str) -> tuple[int, int]:
    """What `--shard` says: `3/16` is the third of sixteen.

    Raises:
        UsageError: It is no shard.
    """
    match = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6})\s*", words)
    number, of = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= of <= MOST_SHARDS:
        raise UsageError(
            f"'{shortened(words, 40)}' is no shard.",
            f"Write which it is and how many there are, such as 3/16, from 1/16 to 16/16; at most "
            f"{MOST_SHARDS:,}.",
        )
    return number, of


@dataclass(frozen=True, eq=False)
class CollectedPart:
    """A part that lies on the disk.

    Attributes:
        path: Its folder.
        shard: Which sequences it is of.
        sequences: How many the whole text has.
        version: The version of saereport that collected it.
        config: What was asked for, as JSON.
        identity: Everything that the numbers depend on.
        sha256: That of its state.
    """

    path: Path
    shard: Shard
    sequences: int
    version: str
    config: Mapping[str, Any]
    identity: Mapping[str, Any]
    sha256: str

    def verify(self) -> None:
        """Check that its state is as it was written.

        Raises:
            SaereportError: It is not.
        """
        try:
            whole = sha256_of(self.path / FILE) == self.sha256
        except OSError:
            whole = False
        if not whole:
            raise SaereportError(
                f"The part '{self.path}' is damaged: '{FILE}' is not as it was written.",
                f"Remove the folder, and collect {self.shard.words} again.",
            )

    def state(self) -> Arrays:
        """The state of its accumulators.

        Raises:
            SaereportError: It cannot be read.
        """
        state = Checkpoint(self.path, json_digest(self.identity)).load()
        if state is None:
            raise SaereportError(
                f"The part '{self.path}' cannot be read.",
                f"Remove the folder, and collect {self.shard.words} again.",
            )
        return state


@contextmanager
def part_in_place_of(target: Path) -> Iterator[Path]:
    """A new folder that becomes a part if the block ends well; see `folder_in_place_of`."""
    with folder_in_place_of(target, require_part_or_nothing) as fresh:
        yield fresh


def require_part_or_nothing(folder: Path) -> None:
    """Refuse a folder that holds anything but a part.

    Raises:
        SaereportError: It does.
    """
    if folder.is_dir() and (others := strangers(folder, (ABOUT, FILE))):
        raise SaereportError(
            f"'{folder}' holds '{others[0]}', which is no part of a collection.",
            "Name another folder.",
        )


def write_part(
    folder: Path,
    state: Arrays,
    shard: Shard,
    sequences: int,
    *,
    config: BuildConfig,
    identity: Mapping[str, Any],
) -> None:
    """Fill a new folder with a part.

    Raises:
        SaereportError: The disk is full.
    """
    Checkpoint(folder, json_digest(identity), identity).save(state)
    about = {
        "format": FORMAT,
        "version": VERSION,
        "saereport": __version__,
        "shard": shard.number,
        "of": shard.of,
        "first": shard.first,
        "stop": shard.stop,
        "sequences": sequences,
        "config": portable(config),
        "identity": dict(identity),
        "sha256": sha256_of(folder / FILE),
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")


def portable(config: BuildConfig) -> dict[str, Any]:
    """A configuration as JSON that means the same wherever the command is given."""

    def absolute(value: str, certain: bool) -> str:
        there = certain or exists(Path(value).expanduser())
        return str(Path(value).expanduser().absolute()) if there else value

    return dict(with_paths(config.model_dump(mode="json"), type(config), absolute))


def read_part(folder: Path) -> CollectedPart:
    """A part that lies in a folder.

    Raises:
        SaereportError: There is none, or it cannot be read.
    """
    try:
        about = json.loads((folder / ABOUT).read_bytes())
        if about["format"] != FORMAT:
            raise ValueError("of another format")
        if about["version"] > VERSION:
            raise SaereportError(
                f"The part '{folder}' was collected by saereport "
                f"{shortened(about['saereport'], 40)}, which writes what this version, "
                f"{__version__}, does not read.",
                "Merge with the version that collected it.",
            )
        shard = Shard(*(int(about[name]) for name in ("shard", "of", "first", "stop")))
        known = {name: dict(about[name]) for name in ("config", "identity")}
        return CollectedPart(
            folder,
            shard,
            int(about["sequences"]),
            str(about["saereport"]),
            **known,
            sha256=str(about["sha256"]),
        )
    except FileNotFoundError as error:
        raise SaereportError(
            f"There is no part of a collection at '{folder}'.",
            "'saereport collect --shard 1/2' makes one.",
        ) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SaereportError(f"'{folder / ABOUT}' cannot be read as a part of a collection.") from (
            error
        )


def find_parts(places: Sequence[Path]) -> list[CollectedPart]:
    """The parts in some folders, each of which is one or holds some; in the order of the text.

    Raises:
        SaereportError: There is none in one of them, or it cannot be read.
    """
    found = []
    for place in places:
        inner = sorted(path.parent for path in place.glob(f"*/{ABOUT}"))
        folders = [place] if (place / ABOUT).exists() or not inner else inner
        found += [read_part(folder) for folder in folders]
    return sorted(found, key=lambda part: part.shard.number)


def require_whole(parts: Sequence[CollectedPart]) -> None:
    """Refuse parts that are not the whole of one collection by this version.

    Raises:
        SaereportError: One is of other work, or damaged; two are the same; some are missing: which.
    """
    first = parts[0]
    for part in parts:
        if part.version != __version__:
            raise SaereportError(
                f"The part '{part.path}' was collected by saereport {shortened(part.version, 40)}; "
                f"this is {__version__}.",
                "Merge with the version that collected it, or collect it again.",
            )
    for part in parts[1:]:
        if changed := differences(first.identity, part.identity):
            raise SaereportError(
                f"The parts '{first.path}' and '{part.path}' are of different collections: "
                f"{changed} is not the same.",
                "Merge parts of one configuration, text, model and SAEs.",
            )
        if part.shard.of != first.shard.of:
            raise SaereportError(
                f"'{first.path}' is one of {first.shard.of} shards, and '{part.path}' one of "
                f"{part.shard.of}.",
                "Merge the shards of one cut.",
            )
    _require_each_once(parts)
    for part in parts:
        part.verify()


def _require_each_once(parts: Sequence[CollectedPart]) -> None:
    of = parts[0].shard.of
    by_number: dict[int, CollectedPart] = {}
    for part in parts:
        other = by_number.setdefault(part.shard.number, part)
        if other is not part:
            raise SaereportError(
                f"'{other.path}' and '{part.path}' are both {part.shard.words}.",
                "Name one of them.",
            )
    missing = [number for number in range(1, of + 1) if number not in by_number]
    if missing:
        named = ", ".join(str(number) for number in missing[:_MOST_NAMED])
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        raise SaereportError(
            f"Of {of} shards {len(missing)} {'is' if len(missing) == 1 else 'are'} missing: "
            f"{named}{more}.",
            f"Collect {'it' if len(missing) == 1 else 'them'} with --shard {missing[0]}/{of}"
            f"{' and so on' if len(missing) > 1 else ''}, then merge again.",
        )
    edge = 0
    for part in parts:
        if part.shard.first != edge or part.sequences != parts[0].sequences:
            raise SaereportError(
                f"'{part.path}' begins at sequence {part.shard.first:,}, where {edge:,} comes "
                "next: the shards were cut in other places.",
                "Collect all of them with the same --batch-size and on the same kind of device.",
            )
        edge = part.shard.stop
    if edge != parts[0].sequences:
        raise SaereportError(f"The shards end at sequence {edge:,} of {parts[0].sequences:,}.")


def config_of(part: CollectedPart) -> BuildConfig:
    """What was asked for.

    Raises:
        UsageError: A setting is of a plug-in that is not here.
    """
    names = set(config_class().model_fields) - set(EngineSettings.model_fields)
    known = {key: value for key, value in part.config.items() if key in names}
    return make_config(known, origin=f"'{part.path / ABOUT}'")
