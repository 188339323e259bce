"""Attribution graphs by automatic differentiation of a frozen model, for tests.

Written apart from the package: the true model runs under TransformerLens's own hooks, with
patterns and norm scales put back to what they were, and with every source multiplied by a number
that is one. Derivatives with respect to those numbers are the direct effects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from saereport.sources.saes.sae import Sae

Key = tuple[str, int, int]
"""What a source is: its kind or SAE, its latent (-1 for an error), its position."""


@dataclass(frozen=True, eq=False)
class Dense:
    """Direct effects `[targets, sources]`, and the targets' values."""

    sources: list[Key]
    targets: list[Key]
    effects: NDArray[np.float64]
    values: NDArray[np.float64]


def written_at(saes: Sequence[Sae], name: str) -> list[tuple[Sae, Tensor]]:
    """The SAEs that write at a hook point, with the decoder of each there `[d_sae, d_out]`.

    A cross-layer transcoder's decoders are read whole from its file.
    """
    found = []
    for sae in saes:
        names = [hook.name for hook in sae.writes]
        if name in names and sae.part_of is not None:
            tensors = load_file(sae.loaded.written.path)
            decoder = next(t for key, t in tensors.items() if key.lower().startswith("w_dec"))
            # From the end: some have a place for every layer, some from their own on.
            place = decoder.shape[1] - len(names) + names.index(name)
            found.append((sae, decoder[:, place].to(sae.dtype)))
        elif name in names:
            found.append((sae, sae.loaded.W_dec))
    return found


def dense_graph(
    hooked: Any, saes: Sequence[Sae], tokens: Tensor, counted: Tensor, logits: Tensor
) -> Dense:
    """Direct effects and values of all targets.

    Args:
        hooked: A `HookedTransformer`.
        saes: SAEs and transcoders, of architectures that are `x @ W_enc + b_enc` before a gate.
        tokens: `[pos]`.
        counted: bool `[pos]`.
        logits: Tokens whose logits are targets.
    """
    _, clean = hooked.run_with_cache(tokens[None])
    n_layers, n_pos = hooked.cfg.n_layers, len(tokens)
    flat = {name: clean[name].reshape(n_pos, -1) for name in clean if name.endswith("hook_z")}
    acts = {sae.slug: {} for sae in saes}
    sources: list[Key] = [("embedding", int(t), p) for p, t in enumerate(tokens)]
    explained = {hook.name for sae in saes for hook in sae.writes}
    for layer in range(n_layers):
        if f"blocks.{layer}.hook_mlp_out" not in explained:
            sources += [(f"mlp {layer}", -1, p) for p in range(n_pos)]
    read = {sae.slug: flat.get(sae.hook_in.name, clean[sae.hook_in.name]) for sae in saes}
    for sae in saes:
        a = read[sae.slug].reshape(n_pos, -1)
        acts[sae.slug] = {"a": a, "f": sae.loaded.encode(a) * counted[:, None]}
    for sae in saes:
        writes, a, f = sae.writes[0].name, acts[sae.slug]["a"], acts[sae.slug]["f"]
        true = flat.get(writes, clean[writes].reshape(n_pos, -1))
        made = sum(acts[one.slug]["f"] @ rows for one, rows in written_at(saes, writes))
        made = counted[:, None] * (made + sae.loaded.b_dec)
        if hasattr(sae.loaded, "W_skip"):
            made = made + counted[:, None] * (a @ sae.loaded.W_skip.T)
        acts[sae.slug]["error"] = true - made
        sources += [(sae.slug, -1, p) for p in range(n_pos)]
        sources += [(sae.slug, int(i), int(p)) for p, i in f.nonzero()]
    place = {key: k for k, key in enumerate(sources)}
    targets: list[Key] = [key for key in sources if key[0] in acts and key[1] >= 0]
    targets += [("logit", int(token), n_pos - 1) for token in logits]

    def at(ones: Tensor, name: str) -> Tensor:
        keys = [
            place[key] for key in sources if key[0] == name and (name not in acts or key[1] < 0)
        ]
        return ones[keys][:, None]

    def outputs(ones: Tensor) -> Tensor:
        seen: dict[str, Tensor] = {}
        hooks: list[tuple[str, Any]] = []

        def fixed(value: Tensor, hook: Any) -> Tensor:
            return clean[hook.name]

        for layer in range(n_layers):
            block = f"blocks.{layer}"
            hooks += [(f"{block}.attn.hook_pattern", fixed)]
            hooks += [(f"{block}.{norm}.hook_scale", fixed) for norm in ("ln1", "ln2")]
            if f"{block}.hook_mlp_out" not in explained:
                scaled = clean[f"{block}.hook_mlp_out"][0] * at(ones, f"mlp {layer}")
                hooks.append((f"{block}.hook_mlp_out", lambda value, hook, s=scaled: s[None]))
        hooks.append(("ln_final.hook_scale", fixed))
        embedded = clean["blocks.0.hook_resid_pre"][0] * at(ones, "embedding")
        hooks.insert(0, ("blocks.0.hook_resid_pre", lambda value, hook: embedded[None]))

        def see(sae: Sae) -> Any:
            def hook_at(value: Tensor, hook: Any) -> None:
                seen[sae.slug] = value.reshape(n_pos, -1)

            return hook_at

        def scaled(sae: Sae) -> Tensor:
            keys = [key for key in sources if key[0] == sae.slug and key[1] >= 0]
            index = [place[key] for key in keys]
            rows = torch.tensor([key[2] for key in keys], dtype=torch.int64)
            columns = torch.tensor([key[1] for key in keys], dtype=torch.int64)
            f = acts[sae.slug]["f"]
            return torch.zeros_like(f).index_put((rows, columns), f[rows, columns] * ones[index])

        def write(sae: Sae) -> Any:
            def hook_at(value: Tensor, hook: Any) -> Tensor:
                here = written_at(saes, sae.writes[0].name)
                made = sum(scaled(one) @ rows for one, rows in here) + sae.loaded.b_dec
                if hasattr(sae.loaded, "W_skip"):
                    made = made + seen[sae.slug] @ sae.loaded.W_skip.T
                made = counted[:, None] * made + acts[sae.slug]["error"] * at(ones, sae.slug)
                return made.reshape(value.shape)

            return hook_at

        # What reads at a place sees what was put there; an SAE's own latents see what came in.
        own = [sae for sae in saes if not sae.is_transcoder]
        hooks += [(sae.hook_in.name, see(sae)) for sae in own]
        hooks += [(sae.hook_in.name, write(sae)) for sae in own]
        for sae in saes:
            if sae.is_transcoder:
                hooks += [(sae.hook_in.name, see(sae)), (sae.writes[0].name, write(sae))]
        last = hooked.run_with_hooks(tokens[None], fwd_hooks=hooks)[0, -1]
        values = []
        for slug, latent, position in targets:
            if slug == "logit":
                values.append(last[latent] - last.mean())
                continue
            sae = next(sae for sae in saes if sae.slug == slug).loaded
            x = seen[slug][position] - sae.b_dec * (1 if sae.cfg.apply_b_dec_to_input else 0)
            values.append(x @ sae.W_enc[:, latent] + sae.b_enc[latent])
        return torch.stack(values)

    ones = torch.ones(len(sources), dtype=clean["blocks.0.hook_resid_pre"].dtype)
    jacobian = torch.func.jacrev(outputs)(ones)
    values = outputs(ones)
    return Dense(sources, targets, jacobian.numpy(), values.numpy())
