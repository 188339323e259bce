"""`import_files`: SAEDashboard's, Neuronpedia's or circuit-tracer's files become a run.

Nothing is invented: what the files do not hold is zero or empty in the run, and every SAE's
`left_out` says what that is about, so that the report can say it too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from saereport.exchange.finding import Found, find
from saereport.exchange.gathering import gather
from saereport.exchange.given import GivenSae, GivenText, Identity, Words, words_of
from saereport.exchange.importing_graphs import graph_files, write_graphs
from saereport.exchange.tabulating import Sequences, Vocabulary, tables
from saereport.run import TABLES, RunInfo, RunWriter, SaeInfo
from saereport.run.schema import ModelInfo, TextInfo
from saereport.site.folder import require_run_of_its_own
from saereport.util.files import canonical_json, reserved, sha256_of, target_folder
from saereport.util.progress import Progress
from saereport.util.slugs import unique_slugs
from saereport.util.version import __version__

NOT_IN_FILES = "the imported files do not hold it"
LEFT_OUT = {
    "activity.mean_active": f"{NOT_IN_FILES}; neither standard deviation nor quantiles",
    "activation_histogram": "the imported files' bins are not saereport's; shown as they are given",
    "example_groups": "the imported files give shares of all tokens; shown as they are given",
    "logit_lens.mean": f"{NOT_IN_FILES}; neither standard deviation, skewness nor kurtosis",
    "text.n_counted": "the imported files do not say how many tokens the densities are over",
    "weights": f"{NOT_IN_FILES}; the hash is one of the SAE's name",
    "vocabulary": "tokens are the strings of the imported files, numbered in their order; two "
    "tokens of the model that look the same are one here, and none is known to be special",
    "imported.others": "neuron alignment, correlations with neurons and with latents, attribution "
    "to source tokens, vectors, embeddings, maps and scores are not taken over from the files",
    "documents": "the imported files do not say which texts are of one document; each is its own",
}
"""What else is to be said than that the imported files do not hold a table."""


def import_files(
    paths: Iterable[Path | str], out: Path | str, *, progress: Progress | None = None
) -> RunInfo:
    """Make a run of SAEDashboard's batches, of Neuronpedia's export, or of attribution graphs.

    Args:
        paths: Files, or folders with files of known names; see `docs/exchange.md`.
        out: The run's folder. An older run there is replaced when the new one is whole.
        progress: Where to show progress; nowhere where absent.

    Returns:
        What the run's `run.json` says.

    Raises:
        SaereportError: A file is damaged, over a limit or not understood; or `out` holds
            something else than a run.
    """
    target = target_folder(out)
    with reserved(target, require_run_of_its_own):
        given = [Path(path) for path in paths]
        shown = progress or Progress(quiet=True)
        if graphs := graph_files(given):
            return write_graphs(target, graphs, shown)
        found = find(given)
        saes, words = gather(found, shown)
        return _write(target, found, saes, words)


def _write(target: Path, found: Sequence[Found], saes: Sequence[GivenSae], words: Words) -> RunInfo:
    vocabulary, sequences = Vocabulary(words), Sequences(saes)
    infos = []
    with RunWriter(target) as writer:
        writer.write("vocabulary", vocabulary.columns())
        writer.write("sequences", sequences.columns(vocabulary.ids))
        for sae, slug in zip(saes, _slugs(saes), strict=True):
            written = []
            for name, columns in tables(sae, vocabulary.ids, sequences):
                writer.write(name, columns, slug=slug)
                written.append(name)
            infos.append(_sae_info(sae, slug, written))
        return writer.finish(_info(found, saes, infos, _writing(vocabulary)))


def _slugs(saes: Sequence[GivenSae]) -> list[str]:
    """A folder's name for each SAE: `l8-res-jb`, with a number where two would be the same."""
    return unique_slugs(_called(sae.identity) for sae in saes)


def _called(identity: Identity) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", f"{identity.sae_set} {identity.suffix}".lower())
    base = f"l{identity.layer}" if identity.layer >= 0 else "sae"
    return f"{base}-{words.strip('-')[:80]}".rstrip("-")


def _sae_info(sae: GivenSae, slug: str, written: Sequence[str]) -> SaeInfo:
    identity = sae.identity
    own = [table.name for table in TABLES.values() if table.scope == "sae" and not table.plugin]
    absent = dict.fromkeys(own, NOT_IN_FILES) | LEFT_OUT
    left_out = {name: why for name, why in absent.items() if name not in written} | sae.notes
    if any(latent.n_active is None for latent in sae.latents):
        left_out["activity.n_active"] = f"{NOT_IN_FILES}, for latents without a histogram of counts"
    if identity.layer < 0:
        left_out["layer"] = NOT_IN_FILES
    if not sae.hook:
        left_out["hook point"] = NOT_IN_FILES
    name = f"{identity.model_id}/{identity.source}"
    return SaeInfo(
        slug=slug,
        label=identity.source if identity.layer >= 0 else identity.sae_set,
        release=sae.release,
        sae_id=sae.sae_id,
        architecture="",
        hook_in=sae.hook,
        hook_out=sae.hook,
        layer=max(0, identity.layer),
        kind="",
        kind_out="",
        d_in=0,
        d_sae=0,
        d_out=0,
        neuronpedia_id=name if sae.published else "",
        metadata={
            "imported": {
                "model_id": identity.model_id,
                "layer": identity.layer,
                "sae_set": identity.sae_set,
                "suffix": identity.suffix,
                "skipped": words_of(sae.skipped),
                "settings": sae.settings,
            }
        },
        weights=_hash(["name of an SAE", name]),
        n_chosen=len(sae.latents),
        selection="those in the imported files",
        left_out=left_out,
    )


def _writing(vocabulary: Vocabulary) -> dict[str, Any]:
    """How tokens were written in the files, so that an export can write them so again."""
    space = {"space": vocabulary.mark or "as it is"}
    if not vocabulary.alphabet:
        return space
    return {**space, "alphabet": "GPT-2's", "plain": vocabulary.plain_words()}


def _info(
    found: Sequence[Found],
    saes: Sequence[GivenSae],
    infos: Sequence[SaeInfo],
    writing: dict[str, Any],
) -> RunInfo:
    files = [
        {"name": one.path.name, "kind": one.kind, "sha256": sha256_of(one.path)} for one in found
    ]
    texts = {sae.text for sae in saes}
    text = texts.pop() if len(texts) == 1 else GivenText()
    model = saes[0].identity.model_id
    what = infos[0].label if len(infos) == 1 else f"{len(infos)} SAEs"
    return RunInfo(
        saereport_version=__version__,
        fingerprint=_hash(["imported", __version__, sorted(file["sha256"] for file in files)]),
        title=f"{model}: {what}" if model else what,
        config={"imported": {"files": files, **writing}},
        model=ModelInfo(
            name=model,
            wrapper="",
            n_layers=0,
            d_model=0,
            n_heads=0,
            n_kv_heads=0,
            d_head=0,
            d_vocab=0,
            n_ctx=0,
            norm="",
            final_norm="",
            dtype="",
        ),
        text=TextInfo(
            name=text.dataset,
            source={"given": "by the imported files"},
            context_size=text.n_tokens,
            n_sequences=text.n_prompts,
            n_tokens=text.n_prompts * text.n_tokens,
            n_counted=0,
            n_documents=0,
            prepend_bos=False,
            include_special=False,
            digest=_hash(["name of a text", text.dataset, text.n_prompts, text.n_tokens]),
        ),
        saes=tuple(infos),
        tables={},
        libraries={},
    )


def _hash(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
