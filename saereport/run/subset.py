"""Cut a run down to some latents and some prompts: a small run that says where it came from.

Nothing is measured again. Rows about latents and prompts that are left out go; what is about a
whole SAE (its metrics, the density of all its latents) stays as it was measured. Rows of kept
latents that name a latent that is left out stay too: readers see the number without a link.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from saereport.errors import SaereportError
from saereport.run.columns import ROWS_PER_GROUP
from saereport.run.files import canonical_json
from saereport.run.schema import RunInfo, SaeInfo
from saereport.run.store import Run, RunWriter, open_run
from saereport.run.table import I32, Table, listed
from saereport.run.tables import TABLES

WHOLE = frozenset({"sae_activity", "sae_metrics"})
"""Tables about a whole SAE, of which no row is left out."""
ENDS = ("sae", "early", "late", "splice")
"""Columns that name an SAE of the report, or nothing for the model itself."""
_DEPENDENT = ("sequences", "vocabulary")
_AT_ONCE = 4 * ROWS_PER_GROUP
_LISTED = 24

Parts = list[pa.Table]


def subset(
    run: Run,
    target: Path,
    *,
    latents: Mapping[str, Sequence[int]],
    prompts: Sequence[str] | None,
    title: str | None,
) -> Run:
    """Write a run with some latents and some prompts of another.

    Args:
        run: The run to cut from.
        target: Folder of the new run; an older run there is replaced.
        latents: For each SAE's slug, which of the latents that the run shows to keep. An SAE that
            is not named, or with none, is left out unless a kept prompt is about it.
        prompts: Slugs of the prompts to keep; None for all of them.
        title: The new run's title; None for the old one.

    Raises:
        SaereportError: The run lacks one of these, or nothing would be left.
    """
    chosen = {slug: _wanted(run, slug, wanted) for slug, wanted in latents.items() if wanted}
    kept = _prompts(run, prompts)
    if not chosen and not kept:
        raise SaereportError("Nothing would be left of the run.", "Name some latents or a prompt.")
    slugs = set(chosen) | _about(run, kept)
    saes = tuple(sae for sae in run.info.saes if sae.slug in slugs)
    tables = _TablesOf(run, chosen, kept, slugs, every_prompt=prompts is None)
    with RunWriter(target) as writer:
        for sae in saes:
            names = run.names(sae.slug) if sae.slug in chosen else []
            for name in sorted({*names, *(WHOLE & set(run.names(sae.slug)))}):
                writer.write(name, _columns(tables.of_sae(name, sae.slug)), slug=sae.slug)
        for name in run.names():
            found = tables.of_run(name)
            if found is not None:
                writer.write(name, _columns([found]))
        writer.finish(_info(run.info, saes, chosen, prompts, title))
    return open_run(target)


def shown_latents(run: Run, slug: str) -> tuple[int, ...]:
    """The latents of an SAE that a run shows, sorted."""
    for name in ("activity", "logit_lens", "geometry"):
        if run.has(name, slug):
            return tuple(run.table(name, slug, columns=["latent"]).column(0).to_pylist())
    return ()


def taking_part(run: Run, prompts: Sequence[str]) -> dict[str, list[int]]:
    """The latents that a run shows and that circuits on these prompts are about, by slug.

    Args:
        run: The run.
        prompts: Slugs of prompts. What counts are the ends of stored gradients and the nodes of
            graphs, and the latents that are decomposed; not every latent that is active.

    Raises:
        SaereportError: The run lacks a prompt.
    """
    kept = _prompts(run, prompts)
    columns = (
        ("gradients", "early", "early_latent"),
        ("gradients", "late", "late_latent"),
        ("graph_nodes", "sae", "latent"),
        ("head_attributions", "sae", "latent"),
        ("components", "sae", "latent"),
        ("influences", "sae", "latent"),
        ("influences", "early", "early_latent"),
        ("induction_latents", "sae", "latent"),
    )
    found: dict[str, set[int]] = {}
    for name, end, latent in columns:
        if run.has(name):
            rows = run.table(name, columns=["prompt", end, latent])
            rows = rows.filter(_among(rows.column("prompt"), sorted(kept)))
            pairs = zip(rows.column(end).to_pylist(), rows.column(latent).to_pylist(), strict=True)
            for slug, index in set(pairs):
                found.setdefault(slug, set()).add(index)
    known = [sae.slug for sae in run.info.saes if sae.slug in found]
    result = {slug: sorted(found[slug] & set(shown_latents(run, slug))) for slug in known}
    return {slug: chosen for slug, chosen in result.items() if chosen}


def _wanted(run: Run, slug: str, wanted: Sequence[int]) -> list[int]:
    if slug not in {sae.slug for sae in run.info.saes}:
        raise SaereportError(f"The run has no SAE '{slug}'.")
    missing = sorted(set(wanted) - set(shown_latents(run, slug)))
    if missing:
        raise SaereportError(f"The run does not show latent {missing[0]} of '{slug}'.")
    return sorted(set(wanted))


def _prompts(run: Run, slugs: Sequence[str] | None) -> frozenset[int]:
    """Numbers of the prompts with these slugs; of all of them for None."""
    if not run.has("prompts"):
        if slugs:
            raise SaereportError(f"The run has no prompt '{slugs[0]}': it has no circuits.")
        return frozenset()
    rows = run.table("prompts", columns=["prompt", "slug"]).to_pylist()
    numbers = {row["slug"]: row["prompt"] for row in rows}
    for slug in slugs or ():
        if slug not in numbers:
            raise SaereportError(f"The run has no prompt '{slug}'.")
    return frozenset(numbers.values() if slugs is None else (numbers[slug] for slug in slugs))


def _about(run: Run, prompts: frozenset[int]) -> set[str]:
    """The SAEs that tables of these prompts name."""
    found: set[str] = set()
    for name in run.names():
        columns = _names(TABLES[name])
        ends = [end for end in ENDS if end in columns]
        if "prompt" in columns and ends:
            rows = run.table(name, columns=["prompt", *ends])
            rows = rows.filter(_among(rows.column("prompt"), sorted(prompts)))
            for end in ends:
                found |= set(rows.column(end).unique().to_pylist())
    return found & {sae.slug for sae in run.info.saes}


class _TablesOf:
    """The tables of the cut run, each as far as it stays."""

    def __init__(
        self,
        run: Run,
        chosen: Mapping[str, list[int]],
        prompts: frozenset[int],
        slugs: set[str],
        *,
        every_prompt: bool,
    ) -> None:
        self._run = run
        self._chosen = chosen
        self._prompts = sorted(prompts)
        self._slugs = sorted(slugs)
        self._every_prompt = every_prompt

    def of_sae(self, name: str, slug: str, columns: Sequence[str] | None = None) -> Parts:
        """The kept rows of a table of one SAE, in parts; of all columns, or of these."""
        if name in WHOLE:
            return [self._run.table(name, slug)]
        wanted = self._chosen[slug]
        names = None if columns is None else ["latent", *columns]
        parts = []
        for low in range(wanted[0], wanted[-1] + 1, _AT_ONCE):
            inside = [latent for latent in wanted if low <= latent < low + _AT_ONCE]
            if inside:
                band = (inside[0], inside[-1] + 1)
                rows = self._run.table(name, slug, latents=band, columns=names)
                parts.append(rows.filter(_among(rows.column("latent"), inside)))
        return parts

    def of_run(self, name: str) -> pa.Table | None:
        """The kept rows of a table of the run; None where the table has no place in the cut."""
        if name == "sequences":
            return self._sequences()
        if name == "vocabulary":
            return self._vocabulary()
        columns = _names(TABLES[name])
        rows = self._run.table(name)
        if "prompt" in columns:
            if not self._prompts:
                return None
            rows = rows.filter(_among(rows.column("prompt"), self._prompts))
            return rows.filter(self._is_shown(rows)) if name == "prompt_activations" else rows
        if name == "blind_latents":
            return self._blind(rows)
        if not self._every_prompt or not self._prompts:
            return None
        for end in (end for end in ENDS if end in columns):
            rows = rows.filter(_among(rows.column(end), self._slugs))
        return rows

    def _is_shown(self, rows: pa.Table) -> pa.Array:
        pairs = zip(rows.column("sae").to_pylist(), rows.column("latent").to_pylist(), strict=True)
        shown = {slug: frozenset(latents) for slug, latents in self._chosen.items()}
        return pa.array([latent in shown.get(slug, ()) for slug, latent in pairs], pa.bool_())

    def _blind(self, rows: pa.Table) -> pa.Table | None:
        """Every blind latent of the kept SAEs stays blind; one that is not shown stays redacted."""
        rows = rows.filter(_among(rows.column("sae"), self._slugs))
        reveal = pc.and_(rows.column("reveal"), self._is_shown(rows))
        return rows.set_column(2, rows.schema.field(2), reveal) if rows.num_rows else None

    def _sequences(self) -> pa.Table:
        """The sequences that kept examples lie in."""
        used = self._values(lambda table: ["sequence"] if "sequence" in _names(table) else [])
        rows = self._run.table("sequences")
        return rows.filter(_among(rows.column("sequence"), sorted(used)))

    def _vocabulary(self) -> pa.Table:
        """The tokens that what is kept names, and the special ones."""
        used = self._values(_token_columns)
        if self._run.has("sequences"):
            used |= _flat(self._sequences().column("tokens"))
        rows = self._run.table("vocabulary")
        keep = pc.or_(_among(rows.column("token"), sorted(used)), rows.column("special"))
        return rows.filter(keep)

    def _values(self, columns: Callable[[Table], list[str]]) -> set[int]:
        """What the kept rows of all tables but the two that depend on them hold in some columns."""
        found: set[int] = set()
        for name, table in TABLES.items():
            wanted = [] if name in (*_DEPENDENT, *WHOLE) else columns(table)
            if not wanted:
                continue
            if table.scope == "run":
                rows = self.of_run(name) if self._run.has(name) else None
                parts = [] if rows is None else [rows]
            else:
                slugs = [slug for slug in self._chosen if self._run.has(name, slug)]
                parts = [part for slug in slugs for part in self.of_sae(name, slug, wanted)]
            for part in parts:
                for column in wanted:
                    found |= _flat(part.column(column))
        return found


def _info(
    old: RunInfo,
    saes: tuple[SaeInfo, ...],
    chosen: Mapping[str, list[int]],
    prompts: Sequence[str] | None,
    title: str | None,
) -> RunInfo:
    """What the cut run says about itself; its fingerprint follows from the old one and the cut."""
    asked = {"latents": dict(chosen), "prompts": sorted(prompts) if prompts is not None else None}
    text = canonical_json({"of": old.fingerprint, **asked}, indent=None)
    return old.model_copy(
        update={
            "title": old.title if title is None else title,
            "fingerprint": hashlib.sha256(text.encode()).hexdigest(),
            "saes": tuple(_cut_sae(sae, chosen.get(sae.slug, [])) for sae in saes),
            "warnings": tuple(
                warning
                for warning in old.warnings
                if not warning.about or any(warning.about == sae.slug for sae in saes)
            ),
        }
    )


def _cut_sae(sae: SaeInfo, latents: list[int]) -> SaeInfo:
    if len(latents) == sae.n_chosen:
        return sae
    words = f"{len(latents):,} of {sae.n_chosen:,} chosen by {sae.selection}"
    if len(latents) <= _LISTED:
        words = ",".join(map(str, latents)) or f"none of {sae.n_chosen:,}"
    return sae.model_copy(update={"n_chosen": len(latents), "selection": words})


def _names(table: Table) -> list[str]:
    return [name for name, _ in table.columns]


def _token_columns(table: Table) -> list[str]:
    """The columns of a table that hold token ids, or now and then hold them."""
    often = {"token", "tokens", "top_tokens", "bottom_tokens", "answer"}
    now_and_then = {"gradients": "late_latent", "graph_nodes": "latent"}
    # Token ids are 32 bits wide; the `tokens` of a sketch are places in the text.
    return [
        name
        for name, kind in table.columns
        if (name in often or now_and_then.get(table.name) == name) and kind in (I32, listed(I32))
    ]


def _flat(column: pa.ChunkedArray) -> set[int]:
    values = pc.list_flatten(column) if pa.types.is_list(column.type) else column
    return set(values.unique().to_pylist())


def _among(column: pa.ChunkedArray, values: Sequence[int] | Sequence[str]) -> pa.ChunkedArray:
    return pc.is_in(column, value_set=pa.array(values, column.type))


def _columns(parts: Parts) -> Iterator[dict[str, pa.ChunkedArray]]:
    for part in parts:
        yield dict(zip(part.column_names, part.columns, strict=True))
