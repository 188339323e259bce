"""Where a pass over the text goes on: each SAE where its own statistics were left.

The statistics of an SAE are kept by themselves, with all that they depend on: what they are of,
which of its latents are followed, how sequences are made, and not how many tokens are asked for. So
a build with more text goes on where the one before it ended, and one with another SAE reads the
text for that SAE alone, up to where the others are, and from there on for all of them.

What is kept ends with a whole block of sequences. What is behind it, less than a block, is read
anew each time: with more text it is part of a whole block, and no number is to depend on that.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from saereport.measure import SequenceStore
from saereport.pipeline.checkpoint import Arrays, Checkpoint
from saereport.pipeline.context import Context, StageView
from saereport.pipeline.fingerprint import differences
from saereport.pipeline.seen import Seen
from saereport.pipeline.text_pass import TextPass
from saereport.sources.text.tokenised import Tokenised
from saereport.util.files import json_digest
from saereport.util.progress import Bar

COUNTS, DIGEST, SEQUENCES = "seen/counts", "seen/digest", "sequences/"
_SHARED = ("seen/", "batches/", SEQUENCES)
"""Beginnings of names in a pass's state that are of no SAE alone."""
SAES = "saes"
"""What the folder is called in which each SAE has one."""
_VERIFIED = 1024
"""Sequences that are looked at together."""


class Reader(Protocol):
    """Makes passes over a text, and reads.

    Attributes:
        together: Whether it reads for all SAEs or for none.
    """

    together: bool

    def new(self, slugs: Sequence[str], checkpoint: Checkpoint) -> TextPass:
        """A pass for some SAEs that has read nothing, with the place where its state is kept."""

    def read(self, reading: TextPass, stop: int, bar: Bar) -> None:
        """Read up to a sequence, from where a pass is."""


@dataclass
class PassCheckpoint(Checkpoint):
    """Keeps the state of a pass by SAE, each in a folder of its own.

    Attributes:
        each: Where the part of each SAE is kept, by slug.
    """

    each: Mapping[str, Checkpoint] = field(default_factory=dict)

    def save(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace what is kept of each SAE; none where there are none."""
        for slug, checkpoint in self.each.items():
            own = (*_SHARED, f"sae.{slug}/", f"broken.{slug}/")
            checkpoint.save({k: array for k, array in arrays.items() if k.startswith(own)})
        self._last = self.clock()

    def load(self) -> Arrays | None:
        """The state of the pass, from those of SAEs that were left at one place."""
        found: Arrays = {}
        sequences = SequenceStore()
        for checkpoint in self.each.values():
            part = checkpoint.load()
            if part is None:
                return None
            cut = len(SEQUENCES)
            own = SequenceStore()
            own.restore({k[cut:]: a for k, a in part.items() if k.startswith(SEQUENCES)})
            sequences.merge(own)
            found |= part
        kept = {f"{SEQUENCES}{key}": array for key, array in sequences.state().items()}
        return {**found, **kept} if found else None


def pass_identity(context: Context, stage: StageView, slug: str) -> dict[str, Any]:
    """What the statistics of an SAE depend on, whatever the number of tokens."""
    part = context.parts[stage.name]
    others = ("tokens", "latents", "saes")
    tracked = context.chosen[slug].tracked
    digest = hashlib.sha256(np.asarray(tracked, dtype="<i8").tobytes()).hexdigest()
    return {
        **part,
        "config": {key: value for key, value in part["config"].items() if key not in others},
        "saes": {slug: part["saes"][slug]},
        "added": {},
        "tracked": digest,
        "rules": context.text.rules.record(),
    }


def read_on(context: Context, stage: StageView, tokenised: Tokenised, reader: Reader) -> TextPass:
    """Read a text for all SAEs of a build, each from where it was left.

    Args:
        context: The build.
        stage: The stage under whose name the state is kept.
        tokenised: The text.
        reader: Makes the passes, and reads.

    Returns:
        The pass at the end of the text.

    Raises:
        SaereportError: What the text holds cannot be measured.
        KeyboardInterrupt: The user interrupted; what was read is saved.
    """
    kept = _checkpoints(context, stage)
    levels = _levels(context, kept, tokenised)
    if reader.together and len(set(levels.values())) > 1:
        # One that was read further would count what the others lack a second time.
        levels = dict.fromkeys(levels, 0)
    _tell(context, levels, tokenised)
    total = tokenised.tokens
    at = sorted(set(levels.values()))
    done = at[0] * tokenised.context_size
    with context.progress.bar("Reading the text", total, "tok", done=done) as bar:
        for number, start in enumerate(at):
            now = [slug for slug, level in levels.items() if level <= start]
            place = PassCheckpoint(context.folder_of(stage), "", each=_of(kept, now))
            reading = reader.new(now, place)
            if start:
                reading.resume()
            stop = at[number + 1] if number + 1 < len(at) else None
            _read(reader, reading, tokenised, stop, bar)
    return reading


def _read(
    reader: Reader, reading: TextPass, tokenised: Tokenised, stop: int | None, bar: Bar
) -> None:
    """Read up to a sequence, or to the end of the text, and keep the state there."""
    start, block = reading.seen.sequences, reading.batches.block
    whole = tokenised.sequences // block * block if stop is None else stop
    if whole > start:
        reader.read(reading, whole, bar)
        reading.save()
    if stop is None and tokenised.sequences > max(start, whole):
        # Nothing is kept of the rest.
        reading.checkpoint = PassCheckpoint(reading.checkpoint.folder, "")
        reading.run(tokenised.packed(max(start, whole), batch=block), bar)


def _of(kept: Mapping[str, Checkpoint], slugs: Sequence[str]) -> dict[str, Checkpoint]:
    return {slug: kept[slug] for slug in slugs}


def _checkpoints(context: Context, stage: StageView) -> dict[str, Checkpoint]:
    """Where the statistics of each SAE are kept; those of other SAEs are removed."""
    folder = context.folder_of(stage) / SAES
    for path in folder.glob("*"):
        if path.name not in context.chosen and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
    found = {}
    for slug in context.chosen:
        identity = pass_identity(context, stage, slug)
        found[slug] = Checkpoint(folder / slug, json_digest(identity), identity)
    return found


def _levels(
    context: Context, kept: Mapping[str, Checkpoint], tokenised: Tokenised
) -> dict[str, int]:
    """The sequence at which each SAE goes on; says why where one that was kept is not used."""
    levels: dict[str, int] = {}
    reasons: dict[str, list[str]] = {}
    digests = {0: Seen().digest}
    for slug, checkpoint in kept.items():
        levels[slug], reason = 0, ""
        if not checkpoint.path.exists():
            continue
        counts, digest = checkpoint.peek(COUNTS), checkpoint.peek(DIGEST)
        if counts is None or digest is None:
            identity = checkpoint.kept_identity()
            changed = differences(identity, checkpoint.identity) if identity else ""
            reason = f"{changed} changed" if changed else "it is damaged, or of an older version"
        elif (level := int(counts[0])) > tokenised.sequences:
            reason = f"it is of {int(counts[1]):,} tokens, more than are asked for"
        else:
            if level not in digests:
                digests[level] = _digest(tokenised, level)
            if digests[level] == digest.tobytes():
                levels[slug] = level
            else:
                reason = "the text changed"
        if reason:
            reasons.setdefault(reason, []).append(slug)
    for reason, slugs in reasons.items():
        of = "" if len(slugs) == len(kept) else f" of {', '.join(slugs)}"
        context.progress.say(
            f"The checkpoint{of} beside the output cannot be used: {reason}; starting anew"
        )
    return levels


def _digest(tokenised: Tokenised, level: int) -> bytes:
    """What was read of a text up to a sequence, as `Seen` has it."""
    seen = Seen()
    for packed in tokenised.packed(0, level, batch=_VERIFIED):
        seen.take(packed)
    return seen.digest


def _tell(context: Context, levels: Mapping[str, int], tokenised: Tokenised) -> None:
    for level in sorted(set(levels.values())):
        slugs = [slug for slug, one in levels.items() if one == level]
        of = "" if len(slugs) == len(levels) else f" of {', '.join(slugs)}"
        if level:
            n = level * tokenised.context_size
            context.progress.say(f"Going on from the checkpoint{of}, after {n:,} tokens")
        elif of:
            context.progress.say(f"Reading the text from its beginning for {', '.join(slugs)}")
