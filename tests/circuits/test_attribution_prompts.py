"""The tables of attribution on a prompt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from saereport.circuits.attribution.latents import prompt_attributions
from saereport.circuits.attribution.rows import strongest_latents
from saereport.run.columns import to_arrow
from saereport.run.tables import TABLES
from saereport.sources.forward import forward
from saereport.sources.models import LanguageModel
from saereport.sources.saes.sae import Sae
from tests.circuits.slow_attribution import pre_activations
from tests.factories import tiny_tokens

Make = Callable[..., Sae]


def test_the_strongest_latents_each_at_its_strongest_position() -> None:
    f = torch.zeros(5, 6)
    f[0, 0] = 99.0  # does not count
    f[1, 3], f[2, 3], f[4, 3] = 4.0, 7.0, 7.0
    f[3, 5], f[1, 1], f[4, 2], f[2, 4] = 9.0, 2.0, 7.0, 7.0
    counted = torch.tensor([False, True, True, True, True])

    def found(n: int) -> list[tuple[int, int, float]]:
        active = strongest_latents(f, counted, n)
        columns = (active.latents, active.positions, active.values)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    assert found(1) == [(5, 3, 9.0)]
    assert found(2) == [(3, 2, 7.0), (5, 3, 9.0)]
    assert found(3) == [(3, 2, 7.0), (4, 2, 7.0), (5, 3, 9.0)]
    assert found(9) == [(1, 1, 2.0), (2, 4, 7.0), (3, 2, 7.0), (4, 2, 7.0), (5, 3, 9.0)]
    assert found(0) == []
    assert len(strongest_latents(f * 0, counted, 3)) == 0


def saes_of(make: Make) -> list[Sae]:
    z, late = "blocks.1.attn.hook_z", "blocks.2.hook_resid_post"
    return [
        make("transcoder", hook_name="blocks.0.ln2.hook_normalized", d_sae=24, seed=1),
        make("standard", hook_name=z, d_sae=24, seed=2),
        make("standard", hook_name="blocks.1.hook_attn_out", d_sae=24, seed=3),
        make("jumprelu", hook_name=late, d_sae=24, seed=4),
    ]


def taken_apart(
    model: LanguageModel, saes: list[Sae], tokens: torch.Tensor, **settings: int
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    names = [sae.hook_in.name for sae in saes]
    with torch.no_grad():
        acts = forward(model, tokens[None], reads=list(dict.fromkeys(names))).acts
    acts = {name: a[0] for name, a in acts.items()}
    f = {sae.slug: sae.encode(acts[sae.hook_in.name]) for sae in saes}
    counted = torch.arange(len(tokens)) > 0
    settings = {"attributed": 3, "influences": 5, **settings}
    return dict(prompt_attributions(model, saes, tokens, counted, f, **settings)), acts


def test_the_tables_of_a_prompt(tiny: LanguageModel, tiny_sae: Make) -> None:
    saes = saes_of(tiny_sae)
    tokens = tiny_tokens(1, 14, seed=2)[0]
    tables, acts = taken_apart(tiny, saes, tokens)
    assert sorted(tables) == ["components", "head_attributions", "influences", "patterns"]
    for name, columns in tables.items():
        n = len(next(iter(columns.values())))
        assert to_arrow(TABLES[name], {"prompt": [0] * n, **columns}).num_rows == n
    by_slug = {sae.slug: sae for sae in saes}
    components, heads = tables["components"], tables["head_attributions"]
    assert sorted(set(components["sae"])) == sorted(saes[i].slug for i in (0, 3))
    assert set(heads["sae"]) == {saes[1].slug}
    for table in (components, heads):
        for i, (slug, latent, position) in enumerate(
            zip(table["sae"], table["latent"], table["position"], strict=True)
        ):
            sae = by_slug[slug]
            a = acts[sae.hook_in.name]
            pre = float(pre_activations(sae, a)[position, latent])
            f = float(sae.encode(a)[position, latent])
            assert table["activation"][i] == f > 0
            assert table["pre_activation"][i] == pytest.approx(pre, rel=1e-4)
            if table is heads:
                values = np.asarray(table["values"][i])
                assert len(values) == tiny.n_heads * (position + 1)
                total = values.sum() + table["bias"][i]
            else:
                total = table["embedding"][i] + table["bias"][i]
                total += table["heads"][i].sum() + table["mlps"][i].sum()
            assert total == pytest.approx(pre, rel=1e-3, abs=1e-4)


def test_patterns_are_those_of_the_heads_that_matter(tiny: LanguageModel, tiny_sae: Make) -> None:
    tokens = tiny_tokens(1, 14, seed=2)[0]
    tables, _ = taken_apart(tiny, saes_of(tiny_sae), tokens)
    name = "blocks.1.attn.hook_pattern"
    with torch.no_grad():
        pattern = forward(tiny, tokens[None], reads=[name]).acts[name][0]
    weight = np.zeros(tiny.n_heads)
    heads = tables["head_attributions"]
    for values, position in zip(heads["values"], heads["position"], strict=True):
        weight += np.abs(np.asarray(values)).reshape(-1, position + 1).sum(axis=1)
    largest = sorted(np.argsort(-weight)[:2].tolist())
    assert tables["patterns"]["layer"] == [1, 1]
    assert tables["patterns"]["head"] == largest
    for head, values in zip(largest, tables["patterns"]["values"], strict=True):
        expected = [float(pattern[head, d, s]) for d in range(14) for s in range(d + 1)]
        assert np.allclose(values, expected, atol=1e-6)


def test_influences_on_a_prompt_name_their_saes(tiny: LanguageModel, tiny_sae: Make) -> None:
    saes = saes_of(tiny_sae)
    tables, _ = taken_apart(tiny, saes, tiny_tokens(1, 14, seed=2)[0])
    found = tables["influences"]
    keys = list(zip(found["sae"], found["latent"], found["position"], found["rank"], strict=True))
    assert len(set(keys)) == len(keys)
    assert set(found["early"]) <= {saes[i].slug for i in (0, 1, 2)}
    # Nothing is earlier than the first, and the second is reached through its own layer's heads.
    assert saes[0].slug not in found["sae"]
    own = [i for i, slug in enumerate(found["sae"]) if slug == saes[1].slug]
    assert own
    assert {(found["early"][i], found["layer"][i]) for i in own} == {(saes[0].slug, 1)}
    late = [i for i, slug in enumerate(found["sae"]) if slug == saes[3].slug]
    assert max(found["rank"][i] for i in late) == 4
    for i in late:
        assert (found["layer"][i] < 0) == (found["head"][i] < 0)
        assert 0 < found["source"][i] <= found["position"][i]


def test_what_is_not_active_or_not_a_sum_has_no_rows(tiny: LanguageModel, tiny_sae: Make) -> None:
    saes = saes_of(tiny_sae)
    tokens = tiny_tokens(1, 14, seed=2)[0]
    assert taken_apart(tiny, [saes[2]], tokens)[0] == {}
    assert taken_apart(tiny, saes, tokens, attributed=0)[0] == {}
    dead = {sae.slug: torch.zeros(14, sae.d_sae) for sae in saes}
    settings = {"attributed": 3, "influences": 5}
    counted = torch.arange(14) > 0
    assert prompt_attributions(tiny, saes, tokens, counted, dead, **settings) == {}
    assert sorted(taken_apart(tiny, [saes[0]], tokens)[0]) == ["components"]
