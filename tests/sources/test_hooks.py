"""Names of hook points."""

from __future__ import annotations

import subprocess
import sys

import pytest

from saereport.errors import SaereportError
from saereport.sources.hooks import parse_hook


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
    ("name", "means"),
    [
        ("model.layers.12", "blocks.12.hook_resid_post"),
        ("transformer.h.3", "blocks.3.hook_resid_post"),
        ("gpt_neox.layers.3.mlp", "blocks.3.hook_mlp_out"),
        ("model.layers.4.self_attn", "blocks.4.hook_attn_out"),
    ],
)
def test_hugging_face_names(name, means):
    assert parse_hook(name) == parse_hook(means)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("blocks.8.hook_resid", "Did you mean 'blocks.8.hook_resid_"),
        ("blocks.x.hook_resid_pre", "Did you mean"),
        ("blocks.2.attn.hook_pattern", "'blocks.2.attn.hook_pattern' is not a hook point"),
        ("", "Known are the residual stream"),
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
