"""How often latents are active by the file that comes with an SAE, as a stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from saereport.pipeline.stage import Cost, Needs, Stage, Yielded, file_digest
from saereport.util.errors import SaereportError

if TYPE_CHECKING:
    from saereport.pipeline.context import Context

TABLE = "shipped_sparsity"


class SparsityStage(Stage):
    """`shipped_sparsity` of each SAE that comes with such a file."""

    name = "sparsity"
    tables = (TABLE,)
    needs = Needs(saes=True)
    regardless_of: ClassVar[tuple[str, ...]] = ("tokens", "latents", "saes.latents", "examples")

    def why_not(self, context: Context) -> str | None:
        """Nothing to say where no SAE has such a file."""
        return None if files_of(context) else ""

    def depends_on(self, context: Context) -> dict[str, Any]:
        """The files."""
        found = {slug: file_digest(file) for slug, file in files_of(context).items()}
        return {"sparsity files": found}

    def plan(self, context: Context) -> Cost:
        """Warn of files that cannot be read."""
        for slug, reason in _refused(context).items():
            context.warned.add(f"Left out: its file of densities. {reason}", about=slug)
        return Cost(seconds=0.0)

    def run(self, context: Context) -> Iterator[Yielded]:
        """Yield the table of each SAE whose file can be read; for the others, the reason."""
        import numpy as np

        from saereport.sources.saes.sparsity import read_sparsity

        refused = _refused(context)
        for slug in context.saes:
            if slug in refused:
                context.leave_out(slug, TABLE, refused[slug].rstrip("."))
        for slug, file in files_of(context).items():
            if slug not in refused:
                values = read_sparsity(file, context.widths[slug])
                yield slug, TABLE, {"latent": np.arange(len(values)), "log10_density": values}


def files_of(context: Context) -> dict[str, Path]:
    """The files by SAE, of those that come with one."""
    from saereport.sources.saes.sparsity import sparsity_file

    found = {
        slug: sparsity_file(asked.path, asked.release, asked.sae_id)
        for slug, asked in zip(context.widths, context.config.saes, strict=True)
    }
    return {slug: file for slug, file in found.items() if file is not None}


def _refused(context: Context) -> dict[str, str]:
    """Why a file is not used, by SAE."""
    from saereport.sources.saes.sparsity import read_sparsity

    reasons = {}
    for slug, file in files_of(context).items():
        try:
            read_sparsity(file, context.widths[slug])
        except SaereportError as error:
            reasons[slug] = error.message
    return reasons
