"""What a run says about an SAE, in the form that other tools' files take."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from saereport.exchange.given import (
    Bins,
    Example,
    GivenLatent,
    GivenModel,
    GivenSae,
    GivenText,
    Identity,
    Range,
    Words,
    identity_of,
    indices_of,
)
from saereport.exchange.limits import LARGEST_INDEX, LATENTS
from saereport.run import Run, RunInfo, SaeInfo
from saereport.util import byte_alphabet
from saereport.util.errors import SaereportError
from saereport.util.visible import visible

TABLES_READ = (
    "activity",
    "activation_histogram",
    "given_histogram",
    "logit_lens",
    "examples",
    "example_groups",
    "given_groups",
    "neighbours",
    "head_shares",
    "explanations",
)
Rows = Mapping[int, Sequence[dict[str, Any]]]


def sae_of(run: Run, slug: str) -> GivenSae:
    """What is known about an SAE but its latents, which `latents_of` gives.

    Raises:
        SaereportError: The run does not say how often its latents are active.
    """
    info, text = run.info.sae(slug), run.info.text
    if not run.has("activity", slug):
        raise SaereportError(
            f"The run holds no activity of '{slug}', without which there is nothing to export."
        )
    imported = info.metadata.get("imported")
    known: Mapping[str, Any] = imported if isinstance(imported, dict) else {}
    settings = known.get("settings")
    return GivenSae(
        identity=_identity(run.info, info, known),
        text=GivenText(text.name, text.n_sequences, text.context_size),
        latents=(),
        hook=info.hook_in,
        release=info.release,
        sae_id=info.sae_id,
        skipped=_skipped(run, slug, str(known.get("skipped", ""))),
        settings=settings if isinstance(settings, dict) else {},
        model=GivenModel(run.info.model.name, run.info.model.n_layers, run.info.model.d_model),
    )


def latents_in(run: Run, slug: str) -> list[int]:
    """The latents that an SAE's tables are about."""
    column = run.table("activity", slug, columns=["latent"]).column(0)
    return list(column.to_pylist())


def _identity(run: RunInfo, info: SaeInfo, known: Mapping[str, Any]) -> Identity:
    """The names that were imported, else those on Neuronpedia, else the run's own.

    The model has one name for all SAEs of a run: what Neuronpedia calls it, where one SAE says so.
    """
    parts = [known.get(name) for name in ("model_id", "layer", "sae_set", "suffix")]
    if [type(part) for part in parts] == [str, int, str, str]:
        return Identity(*parts)  # type: ignore[arg-type]
    model, slash, source = info.neuronpedia_id.partition("/")
    if slash and source:
        found = identity_of(model, source)
        return found if found.layer >= 0 else Identity(model, info.layer, source)
    published = {sae.neuronpedia_id.partition("/")[0] for sae in run.saes} - {""}
    name = published.pop() if len(published) == 1 else run.model.name.rpartition("/")[2]
    return Identity(name, info.layer, info.slug)


def _skipped(run: Run, slug: str, imported: str) -> tuple[int, ...]:
    """Latents that are known to be passed over, or never to be active, and are not in the run."""
    chosen = set(latents_in(run, slug))
    dead: tuple[int, ...] = indices_of(imported, LATENTS)
    if run.has("sae_activity", slug):
        table = run.table("sae_activity", slug)
        quiet = table.column("n_active").to_numpy() == 0
        dead = tuple(table.column("latent").to_numpy()[quiet].tolist())
    return tuple(i for i in dead if i not in chosen and i <= LARGEST_INDEX)


class Exporter:
    """Reads the latents of a run in the order of their indices.

    Args:
        run: The run.
        words: Takes up the strings of the tokens.
    """

    def __init__(self, run: Run, words: Words) -> None:
        self._run, self._words, self._text = run, words, run.info.text
        table = run.table("vocabulary")
        pairs = zip(
            table.column("token").to_pylist(), table.column("bytes").to_pylist(), strict=True
        )
        writing = Writing(run.info)
        self._tokens = {token: words.number(writing.string(data)) for token, data in pairs}
        texts = run.table("sequences", columns=["sequence", "tokens"])
        self._sequences = texts.column("sequence").to_numpy()
        self._texts = texts.column("tokens")

    def latents(self, slug: str, some: Sequence[int]) -> list[GivenLatent]:
        """The latents `some`, which follow each other in the run.

        Raises:
            SaereportError: The run is damaged.
        """
        low, high = some[0], some[-1] + 1
        rows = {
            name: _by_latent(self._run.table(name, slug, latents=(low, high)))
            for name in TABLES_READ
            if self._run.has(name, slug)
        }
        return [
            self._latent(index, {name: found.get(index, ()) for name, found in rows.items()})
            for index in some
        ]

    def _latent(self, index: int, rows: Mapping[str, Sequence[dict[str, Any]]]) -> GivenLatent:
        activity = rows["activity"][0]
        lens = next(iter(rows.get("logit_lens", ())), None)
        shares = next(iter(rows.get("head_shares", ())), {"shares": ()})
        ranges = self._ranges(activity, rows)
        return GivenLatent(
            index=index,
            density=activity["density"],
            n_active=activity["n_active"],
            maximum=activity["max"],
            top=self._pairs(lens, "top"),
            bottom=self._pairs(lens, "bottom"),
            activations=_activations(rows),
            logits=_logits(lens),
            head_shares=tuple(shares["shares"]),
            neighbours=tuple((r["other"], r["cosine"]) for r in rows.get("neighbours", ())),
            examples=tuple(self._examples(rows.get("examples", ()), ranges)),
            explanations=tuple((r["text"], r["source"]) for r in rows.get("explanations", ())),
        )

    def _pairs(self, lens: Mapping[str, Any] | None, side: str) -> tuple[tuple[int, float], ...]:
        if lens is None:
            return ()
        tokens = [self._number(token) for token in lens[f"{side}_tokens"]]
        return tuple(zip(tokens, lens[f"{side}_values"], strict=True))

    def _number(self, token: int) -> int:
        found = self._tokens.get(token)
        return self._words.number(f"<token {token}>") if found is None else found

    def _ranges(
        self, activity: Mapping[str, Any], rows: Mapping[str, Sequence[dict[str, Any]]]
    ) -> dict[str, Range | None]:
        """The groups that are exported: the strongest, and the intervals."""
        found: dict[str, Range | None] = {"top": None}
        counted, n_active = self._text.n_counted, activity["n_active"]
        for row in rows.get("example_groups", ()):
            if row["group"].startswith("interval:") and counted:
                # As SAEDashboard counts: the interval from 0 holds the inactive tokens too.
                inactive = counted - n_active if row["lower"] == 0 else 0
                share = (row["n_active"] + inactive) / counted
                found[row["group"]] = Range(row["lower"], row["upper"], share)
        for row in rows.get("given_groups", ()):
            found[row["group"]] = Range(row["lower"], row["upper"], row["contains"])
        return found

    def _examples(
        self, rows: Sequence[dict[str, Any]], ranges: Mapping[str, Range | None]
    ) -> Iterator[Example]:
        """Examples in SAEDashboard's order: the strongest, then the intervals from the highest."""
        order = {name: place for place, name in enumerate(sorted(ranges, key=_place))}
        shown = [row for row in rows if row["group"] in order]
        shown.sort(key=lambda row: (order[row["group"]], row["rank"]))
        cut = int(self._text.prepend_bos and not self._text.include_special)
        for row in shown:
            tokens = self._sequence(row["sequence"])
            values = array("f", bytes(4 * len(tokens)))
            for place, value in zip(row["active_positions"], row["active_values"], strict=True):
                if not 0 <= place < len(values):
                    raise SaereportError("The run is damaged: an activation lies outside its text.")
                values[place] = value
            position = row["position"] - cut
            if not 0 <= position < len(tokens) - cut:
                raise SaereportError("The run is damaged: an example lies outside its text.")
            yield Example(ranges[row["group"]], tokens[cut:], values[cut:], position)

    def _sequence(self, sequence: int) -> array[int]:
        row = int(np.searchsorted(self._sequences, sequence))
        if row == len(self._sequences) or self._sequences[row] != sequence:
            raise SaereportError("The run is damaged: an example names a text that it lacks.")
        return array("i", (self._number(token) for token in self._texts[row].as_py()))


def _by_latent(table: pa.Table) -> Rows:
    rows = table.to_pylist()
    return {latent: list(some) for latent, some in groupby(rows, key=lambda row: row["latent"])}


def _place(group: str) -> tuple[int, int]:
    number = group.partition(":")[2]
    return (0, 0) if group == "top" else (1, -int(number) if number.isdigit() else 0)


def _activations(rows: Mapping[str, Sequence[dict[str, Any]]]) -> Bins | None:
    for row in rows.get("given_histogram", ()):
        return Bins(tuple(row["centres"]), tuple(row["counts"]))
    for row in rows.get("activation_histogram", ()):
        counts = np.trim_zeros(np.asarray(row["counts"]), "b").tolist()
        width = 2.0 ** row["exponent"]
        centres = tuple((place + 0.5) * width for place in range(len(counts)))
        return Bins(centres, tuple(counts)) if counts else None
    return None


def _logits(lens: Mapping[str, Any] | None) -> Bins | None:
    if lens is None or not lens["counts"]:
        return None
    centres = lens["lower"] + (np.arange(len(lens["counts"])) + 0.5) * lens["width"]
    return Bins(tuple(float(f"{centre:.7g}") for centre in centres), tuple(lens["counts"]))


class Writing:
    """How the tokens of a run are written: as they were in the files that it was made from.

    Args:
        info: What the run says of these.
    """

    def __init__(self, info: RunInfo) -> None:
        imported = info.config.get("imported")
        said = imported if isinstance(imported, dict) else {}
        mark, plain = said.get("space"), said.get("plain")
        self._mark = mark if isinstance(mark, str) and len(mark) == 1 else ""
        self._alphabet = bool(said.get("alphabet"))
        self._plain = set(map(str, plain)) if isinstance(plain, list) else set()

    def string(self, data: bytes) -> str:
        """A token: its text, or where it is not UTF-8 its bytes made visible."""
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = ""
        shown = text.replace(" ", self._mark) if self._mark else text
        if self._alphabet and shown not in self._plain:
            return byte_alphabet.written(data, spaces=bool(self._mark))
        return shown if text or not data else visible(data)
