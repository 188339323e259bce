"""Cut a run down to some latents and some prompts: a small run that says where it came from.

Nothing is measured again. Rows about latents and prompts that are left out go; what is about a
whole SAE (its metrics, the density of all its latents) stays as it was measured, as long as any of
its latents does: without, the SAE stays as a name for what kept prompts say of it. Rows of kept
latents that name a latent that is left out stay too: readers see the number without a link.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from saereport.run.columns import ROWS_PER_GROUP
from saereport.run.kinds import Flag, Latent, Prompt, SaeName, Token
from saereport.run.kinds import Sequence as SequenceNumber
from saereport.run.lists import with_only
from saereport.run.references import Numbers, References
from saereport.run.registry import TABLES
from saereport.run.schema import RunInfo, SaeInfo
from saereport.run.store import Run, open_run
from saereport.run.table import Column, Table
from saereport.run.writing import RunWriter
from saereport.util.errors import SaereportError
from saereport.util.files import json_digest

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
    cut = _Cut(run, chosen, kept, slugs, every_prompt=prompts is None)
    with RunWriter(target) as writer:
        for sae in saes:
            for name in run.names(sae.slug):
                parts = cut.of_sae(run.tables[name], sae.slug)
                if parts is not None:
                    writer.write(run.tables[name], _columns(parts), slug=sae.slug)
        # What is only there because other rows name it comes last, the tokens of all at the end.
        for table in sorted((run.tables[n] for n in run.names()), key=lambda t: _LATE[t.about]):
            found = cut.of_run(table, writer.references)
            if found is not None:
                writer.write(table, _columns([found]))
        writer.finish(_info(run.info, saes, chosen, prompts, title))
    return open_run(target)


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
    found: dict[str, set[int]] = {}
    for name in run.names():
        table = run.tables[name]
        for column in table.that_hold(Latent) if table.about == "prompt" else ():
            holds = column.holds
            assert isinstance(holds, Latent)
            if holds.shown_only or not holds.of:
                continue
            prompt = table.prompt
            rows = run.table(name, columns=[prompt.name, holds.of, column.name])
            rows = rows.filter(_among(rows.column(prompt.name), sorted(kept)))
            pairs = zip(*(rows.column(n).to_pylist() for n in (holds.of, column.name)), strict=True)
            for slug, index in set(pairs):
                found.setdefault(slug, set()).add(index)
    known = [sae.slug for sae in run.info.saes if sae.slug in found]
    result = {slug: sorted(found[slug] & set(run.latents(slug))) for slug in known}
    return {slug: chosen for slug, chosen in result.items() if chosen}


def _wanted(run: Run, slug: str, wanted: Sequence[int]) -> list[int]:
    if slug not in {sae.slug for sae in run.info.saes}:
        raise SaereportError(f"The run has no SAE '{slug}'.")
    missing = sorted(set(wanted) - set(run.latents(slug)))
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
        table = run.tables[name]
        ends = _ends(table)
        if table.about == "prompt" and ends:
            prompt = table.prompt.name
            rows = run.table(name, columns=[prompt, *ends])
            rows = rows.filter(_among(rows.column(prompt), sorted(prompts)))
            for end in ends:
                found |= set(rows.column(end).unique().to_pylist())
    return found & {sae.slug for sae in run.info.saes}


_LATE = {
    **dict.fromkeys(("run", "sae", "latent", "prompt", "prompts"), 0),
    "sequence": 1,
    "token": 2,
}
"""In which order the tables of a run are cut: those that others name last."""


class _Cut:
    """What stays of each table, by what it is about."""

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

    def of_sae(self, table: Table, slug: str) -> Parts | None:
        """The kept rows of a table of one SAE, in parts; None where it has no place in the cut."""
        if table.about == "prompts" and not self._every_prompt:
            return None
        # An SAE that only circuits name is no more than its name.
        if slug not in self._chosen:
            return None
        if table.about != "latent":
            return [self._on_kept_prompts(table, self._run.table(table.name, slug))]
        wanted = self._chosen[slug]
        parts = []
        for low in range(wanted[0], wanted[-1] + 1, _AT_ONCE):
            inside = [latent for latent in wanted if low <= latent < low + _AT_ONCE]
            if inside:
                band = (inside[0], inside[-1] + 1)
                rows = self._run.table(table.name, slug, latents=band)
                rows = rows.filter(_among(rows.column("latent"), inside))
                parts.append(self._on_kept_prompts(table, rows))
        return parts

    def of_run(self, table: Table, named: References) -> pa.Table | None:
        """The kept rows of a table of the run; None where the table has no place in the cut.

        Args:
            table: The table.
            named: What the tables that were cut before name.
        """
        rows = self._on_kept_prompts(table, self._run.table(table.name))
        if table.about == "prompt":
            rows = self._of_prompts(table, rows)
        elif table.about == "latent":
            rows = self._of_latents(table, rows)
        elif table.about == "prompts" and not self._every_prompt:
            return None
        elif table.about in ("prompts", "sae"):
            for end in _ends(table):
                rows = rows.filter(_among(rows.column(end), self._slugs))
        elif table.about == "sequence":
            return _named(table, rows, SequenceNumber, named.sequences)
        elif table.about == "token":
            return _named(table, rows, Token, named.tokens)
        if table.about in ("prompt", "prompts") and not self._prompts:
            return None
        return rows

    def _on_kept_prompts(self, table: Table, rows: pa.Table) -> pa.Table:
        """The rows as far as they name no prompt that is left out, whatever they are about."""
        if self._every_prompt:
            return rows
        for column in table.that_hold(Prompt):
            if not column.is_list:
                numbers = rows.column(column.name)
                none = pc.less(numbers, 0)
                rows = rows.filter(pc.or_(none, _among(numbers, self._prompts)))
        # A table that nobody registers here does not say which of its lists belong together.
        alone = table.name in TABLES
        return with_only(table, rows, Prompt, self._prompts, alone=alone)

    def _of_prompts(self, table: Table, rows: pa.Table) -> pa.Table:
        rows = rows.filter(_among(rows.column(table.prompt.name), self._prompts))
        for column in table.that_hold(Latent):
            if isinstance(column.holds, Latent) and column.holds.shown_only:
                rows = rows.filter(self._is_shown(column, rows))
        return rows

    def _of_latents(self, table: Table, rows: pa.Table) -> pa.Table | None:
        """Rows of kept latents; of those of kept SAEs, where a column says what it then holds."""
        column = table.by_name["latent"]
        changed = [other for other in table.columns if other.left_out is not None]
        if not changed:
            return rows.filter(self._is_shown(column, rows))
        assert isinstance(column.holds, Latent)
        rows = rows.filter(_among(rows.column(column.holds.of), self._slugs))
        for other in changed:
            new = pc.if_else(
                self._is_shown(column, rows),
                rows.column(other.name),
                pa.scalar(other.left_out, other.type),
            )
            rows = rows.set_column(
                table.names.index(other.name), rows.schema.field(other.name), new
            )
        return rows if rows.num_rows else None

    def _is_shown(self, column: Column, rows: pa.Table) -> pa.ChunkedArray:
        """bool[n]: the rows in which a column holds a latent that is kept."""
        assert isinstance(column.holds, Latent)
        shown = pa.chunked_array([pa.repeat(False, rows.num_rows)])
        for slug, latents in self._chosen.items():
            own = pc.equal(rows.column(column.holds.of), slug)
            shown = pc.or_(shown, pc.and_(own, _among(rows.column(column.name), latents)))
        return shown


def _named(
    table: Table, rows: pa.Table, kind: type[SequenceNumber] | type[Token], numbers: Numbers
) -> pa.Table:
    """The rows that other rows name, and those that always stay."""
    (column, *_) = (c for c in table.that_hold(kind) if not c.is_list)
    keep = _among(rows.column(column.name), numbers)
    for flag in table.that_hold(Flag):
        if isinstance(flag.holds, Flag) and flag.holds.stays:
            keep = pc.or_(keep, rows.column(flag.name))
    return rows.filter(keep)


def _ends(table: Table) -> list[str]:
    """The columns in which a row names one SAE."""
    return [column.name for column in table.that_hold(SaeName) if not column.is_list]


def _info(
    old: RunInfo,
    saes: tuple[SaeInfo, ...],
    chosen: Mapping[str, list[int]],
    prompts: Sequence[str] | None,
    title: str | None,
) -> RunInfo:
    """What the cut run says about itself; its fingerprint follows from the old one and the cut."""
    asked = {"latents": dict(chosen), "prompts": sorted(prompts) if prompts is not None else None}
    return old.model_copy(
        update={
            "title": old.title if title is None else title,
            "fingerprint": json_digest({"of": old.fingerprint, **asked}),
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


def _among(
    column: pa.ChunkedArray, values: Sequence[int] | Sequence[str] | Numbers
) -> pa.ChunkedArray:
    return pc.is_in(column, value_set=pa.array(values, column.type))


def _columns(parts: Parts) -> Iterator[dict[str, pa.ChunkedArray]]:
    for part in parts:
        yield dict(zip(part.column_names, part.columns, strict=True))
