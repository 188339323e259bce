"""Names of hook points."""

from __future__ import annotations

import subprocess
import sys

import pytest

from saereport.sources.hooks import HookPoint, parse_hook
from saereport.util.errors import SaereportError


@pytest.mark.parametrize(
    ("name", "layer", "kind"),
    [
        ("blocks.0.hook_resid_pre", 0, "resid"),
        ("blocks.11.hook_resid_mid", 11, "resid"),
        ("blocks.8.hook_resid_post", 8, "resid"),
        ("blocks.3.hook_mlp_in", 3, "resid"),
        ("blocks.3.ln2.hook_normalized", 3, "mlp_in_normalized"),
        ("blocks.3.mlp.hook_in", 3, "mlp_in"),
        ("blocks.3.hook_mlp_out", 3, "mlp_out"),
        ("blocks.3.mlp.hook_out", 3, "mlp_out"),
        ("blocks.3.hook_attn_out", 3, "attn_out"),
        ("blocks.3.attn.hook_z", 3, "z"),
        ("hook_embed", 0, "resid"),
    ],
)
def test_parses(name, layer, kind):
    point = parse_hook(name)
    assert (point.name, point.layer, point.kind) == (name, layer, kind)


@pytest.mark.parametrize(
    ("name", "layer", "kind", "site"),
    [
        ("model.layers.12", 12, "resid", "hook_resid_post"),
        ("transformer.h.3", 3, "resid", "hook_resid_post"),
        ("layers.3.mlp", 3, "mlp_out", "mlp.hook_out"),
        ("gpt_neox.layers.3.mlp", 3, "mlp_out", "mlp.hook_out"),
        ("gpt_neox.layers.3.attention.dense", 3, "attn_out", "attn.hook_out"),
        ("model.layers.4.self_attn", 4, "attn_out", "attn.hook_out"),
        ("model.language_model.layers.4.mlp.down_proj", 4, "mlp_out", "mlp.hook_out"),
        ("transformer.blocks.2.ffn", 2, "mlp_out", "mlp.hook_out"),
        ("transformer.h.1.attn.attention", 1, "attn_out", "attn.hook_out"),
        ("model.decoder.layers.5.fc2", 5, "mlp_out", "mlp.hook_out"),
    ],
)
def test_hugging_face_names_stay_themselves(name, layer, kind, site):
    point = parse_hook(name)
    assert point == HookPoint(name, layer, kind, site)
    assert point.is_module


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("blocks.8.hook_resid", "Did you mean 'blocks.8.hook_resid_"),
        ("blocks.x.hook_resid_pre", "Did you mean"),
        ("blocks.2.attn.hook_pattern", "'blocks.2.attn.hook_pattern' is not a hook point"),
        ("", "Known are the residual stream"),
        ("model.layers.3.input_layernorm", "is not a hook point that SAEs are read at"),
        ("model.layers.3.mlp.act_fn", "is not a hook point that SAEs are read at"),
        ("model.layers.x.mlp", "is not a hook point that SAEs are read at"),
    ],
)
def test_unknown_names(name, said):
    with pytest.raises(SaereportError) as caught:
        parse_hook(name)
    assert said in str(caught.value)


def test_order_is_that_of_a_forward_pass():
    names = [
        "blocks.1.hook_resid_post",
        "blocks.1.attn.hook_z",
        "blocks.0.hook_resid_post",
        "hook_embed",
        "blocks.1.hook_mlp_out",
        "blocks.1.hook_resid_mid",
    ]
    ordered = sorted(map(parse_hook, names), key=lambda point: point.depth)
    assert [point.name for point in ordered] == [
        "hook_embed",
        "blocks.0.hook_resid_post",
        "blocks.1.attn.hook_z",
        "blocks.1.hook_resid_mid",
        "blocks.1.hook_mlp_out",
        "blocks.1.hook_resid_post",
    ]


def test_needs_no_torch():
    code = "import sys, saereport.sources.hooks; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
