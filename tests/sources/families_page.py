"""`docs/families.md`, from what came of each family."""

from __future__ import annotations

from collections.abc import Mapping

from saereport.sources.saes.families import STEPS, Family, Outcome

HEAD = """# Families of SAEs

SAELens's directory lists thousands of SAEs in families: those of one family are files of one
format about one line of models, and differ in layer, width and size of the model. One SAE of
each is loaded under its real name by SAELens's real loader, from tiny files in the format of the
release that a stand-in of the Hugging Face hub serves; a tiny model of the same architecture
stands in for the real one. Text is read, pages are made, and a prompt is drawn with an
attribution graph in which the SAE takes part. What came of it is in the table, which
`make families` writes; a test of each family says when its row no longer holds.

`saereport saes` lists the SAEs themselves, and says of each the same.

- **statistics**: activations, examples, weights and quality on a text.
- **circuits**: gradients and attributions on a prompt.
- **graph**: the SAE takes part in an attribution graph (`circuits.graph.saes` names it where it
  is no transcoder).
- **link**: the latents' pages on Neuronpedia.

"""


TAIL = """
## Folders

`--sae-path` takes a folder in any of these formats. Weights in pickles are read without running
code; what would be computed in another way than its trainer meant is refused with the reason.

- **SAELens** (`cfg.json`, `sae_weights.safetensors`): the architectures that the README names, and
  checkpoints of a training.
- **dictionary_learning** (`config.json`, `ae.pt`), at the residual stream: `AutoEncoder`,
  `AutoEncoderTopK`, `BatchTopKSAE`, `GatedAutoEncoder`, `JumpReluAutoEncoder`,
  `MatryoshkaBatchTopKSAE`.
- **sparsify** (`cfg.json`, `sae.safetensors`): TopK SAEs, signed ones too. The folder is called by
  the hook point (`layers.3`, `layers.3.mlp`), and the training's `config.json` beside it names the
  model.
"""


def page(families: Mapping[str, Family], outcomes: Mapping[str, Outcome]) -> str:
    """The page as Markdown."""
    lines = [f"{_totals(outcomes)}\n", "| family | loader | example release | " + " | ".join(STEPS)]
    lines[-1] += " | reason |"
    lines.append("|" + "---|" * (len(STEPS) + 4))
    for slug, family in families.items():
        found = outcomes[slug]
        link = f"`{found.link}`" if found.link else "no"
        had = [found.had[step] for step in STEPS[:-1]]
        tried = f"`{family.release}`, `{family.sae_id}`"
        cells = [family.name, f"`{family.loader}`", tried, *had, link, found.reason_of()]
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return HEAD + "\n".join(lines) + "\n" + TAIL


def _totals(outcomes: Mapping[str, Outcome]) -> str:
    parts = []
    for step in STEPS:
        values = [found.had[step] for found in outcomes.values()]
        others = [word for word in sorted(set(values)) if word not in ("yes", "no")]
        partly = "".join(f", {values.count(word)} {word}" for word in others)
        parts.append(f"{step} {values.count('yes')}{partly}")
    return f"Of {len(outcomes)} families: {'; '.join(parts)}."
