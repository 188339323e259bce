"""Sets of transcoders in circuit-tracer's format: what is read of them, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from saereport.sources.folders import look_at_sae
from saereport.sources.saes import asking
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.magnitudes import check_magnitudes
from saereport.sources.saes.sae import Sae
from saereport.sources.saes.source import SaeSource
from saereport.util.errors import SaereportError
from tests.factories import save_clt, save_gemma_scope_set, save_transcoder_set


@pytest.fixture(scope="module")
def clt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clt(tmp_path_factory.mktemp("sets") / "clt")


def layer(folder: Path, number: int, **options: object) -> Sae:
    return load_sae(SaeSource(path=str(folder), sae_id=f"layer_{number}"), **options)


def test_a_layer_writes_to_its_own_mlp_and_the_later_ones(clt: Path) -> None:
    sae = layer(clt, 1)
    assert (sae.slug, sae.architecture) == ("clt-layer_1", "cross_layer_transcoder")
    assert sae.hook_in.name == "blocks.1.hook_resid_mid"
    assert [hook.name for hook in sae.writes] == ["blocks.1.hook_mlp_out", "blocks.2.hook_mlp_out"]
    assert (sae.d_in, sae.d_sae, sae.d_out, sae.model_name) == (32, 24, 32, "tiny")
    assert sae.part_of is not None
    assert (sae.part_of.place, sae.part_of.n_layers) == (str(clt.resolve()), 3)
    assert sae.is_transcoder


def test_it_encodes_and_decodes_as_its_files_say(clt: Path) -> None:
    """By the definition, in float64: relu(W x + b), and the decoder's rows at each place."""
    encoder = {name: t.double() for name, t in load_file(clt / "W_enc_1.safetensors").items()}
    decoder = load_file(clt / "W_dec_1.safetensors")["W_dec_1"].double()
    sae, a = layer(clt, 1, dtype=torch.float64), torch.randn(5, 32, dtype=torch.float64)
    f = (a @ encoder["W_enc_1"].T + encoder["b_enc_1"]).relu()
    torch.testing.assert_close(sae.encode(a), f)
    torch.testing.assert_close(sae.decode(f, a, 0), f @ decoder[:, 0] + encoder["b_dec_1"])
    torch.testing.assert_close(sae.decode(f, a, 1), f @ decoder[:, 1])
    some = torch.tensor([7, 2, 7])
    assert torch.equal(sae.write_rows(some, 1), decoder[some, 1])
    assert torch.equal(sae.write_rows(place=1), decoder[:, 1])
    assert sae.write_rows(some[:0], 1).shape == (0, 32)


def test_thresholds_of_a_jump(tmp_path: Path) -> None:
    folder = save_clt(tmp_path / "clt", threshold=True)
    encoder = load_file(folder / "W_enc_0.safetensors")
    sae, a = layer(folder, 0), torch.randn(50, 32)
    assert sae.architecture == "jumprelu_cross_layer_transcoder"
    z = a @ encoder["W_enc_0"].T + encoder["b_enc_0"]
    f = z * (z > encoder["threshold_0"]) * (z > 0)
    torch.testing.assert_close(sae.encode(a), f)


def test_the_decoder_stays_on_the_disk(clt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a decoder only the rows and the place that are asked for are read."""
    sae = layer(clt, 0)
    assert {name for name, _ in sae.loaded.named_parameters()} == {"W_enc", "b_enc", "b_dec"}
    asked: list[object] = []
    from saereport.sources.saes import layers

    class Slice:
        def __init__(self, inner: object) -> None:
            self.inner = inner

        def __getitem__(self, index: object) -> object:
            asked.append(index)
            return self.inner[index]

    class File:
        def __init__(self, *args: object, **options: object) -> None:
            self.inner = opened(*args, **options)

        def __enter__(self) -> File:
            self.file = self.inner.__enter__()
            return self

        def __exit__(self, *args: object) -> None:
            self.inner.__exit__(*args)

        def get_slice(self, name: str) -> Slice:
            return Slice(self.file.get_slice(name))

    opened = layers.safe_open
    monkeypatch.setattr(layers, "safe_open", File)
    sae.write_vectors(torch.zeros(3, 32), torch.tensor([5, 1, 5]), 2)
    assert asked == [([1, 5], 2)]


def test_it_cannot_stand_in_for_activations(clt: Path) -> None:
    for number in (0, 2):
        sae = layer(clt, number)
        with pytest.raises(SaereportError, match="sum over all its layers up to that MLP's"):
            sae.reconstruct(torch.zeros(1, 32))
    with pytest.raises(ValueError, match="writes to 3 points"):
        _ = layer(clt, 0).W_dec


def test_its_hash_is_of_encoder_and_decoder(clt: Path, tmp_path: Path) -> None:
    first = layer(clt, 1).weights_sha256
    for file, name in (("W_enc_1", "b_enc_1"), ("W_dec_1", "W_dec_1")):
        folder = save_clt(tmp_path / file)
        assert layer(folder, 1).weights_sha256 == first
        tensors = load_file(folder / f"{file}.safetensors")
        tensors[name].view(-1)[0] += 1
        save_file(tensors, folder / f"{file}.safetensors")
        assert layer(folder, 1).weights_sha256 != first


def test_decoders_are_looked_through_for_absurd_numbers(tmp_path: Path) -> None:
    folder = save_clt(tmp_path / "clt")
    check_magnitudes(layer(folder, 0))
    decoder = load_file(folder / "W_dec_0.safetensors")["W_dec_0"]
    decoder[3, 2, 7] = 1e20
    save_file({"W_dec_0": decoder}, folder / "W_dec_0.safetensors")
    with pytest.raises(
        SaereportError, match=r"W_dec to blocks\.2\.hook_mlp_out, first 1e\+20 at \[3, 7\]"
    ):
        check_magnitudes(layer(folder, 0))


@pytest.mark.parametrize("skip", [False, True])
def test_a_set_of_transcoders_by_layer(skip: bool, tmp_path: Path) -> None:
    folder = save_transcoder_set(tmp_path / "plt", skip=skip)
    sae, a = layer(folder, 2), torch.randn(4, 32)
    assert sae.architecture == ("skip_transcoder" if skip else "transcoder")
    assert (sae.hook_in.name, sae.write_point.name) == (
        "blocks.2.mlp.hook_in",
        "blocks.2.hook_mlp_out",
    )
    stored = load_file(folder / "layer_2.safetensors")
    made = (a @ stored["W_enc"].T + stored["b_enc"]).relu() @ stored["W_dec"] + stored["b_dec"]
    if skip:
        made = made + a @ stored["W_skip"].T
    torch.testing.assert_close(sae.reconstruct(a), made)
    assert (sae.part_of, sae.why_not_alone) == (None, "")


def test_the_door_knows_what_loading_finds(clt: Path) -> None:
    facts, sae = look_at_sae(clt, "one", "layer_1"), layer(clt, 1)
    assert (facts.d_sae, facts.hook_in, facts.hook_out) == (24, sae.hook_in, sae.writes[0])
    assert (facts.is_transcoder, facts.model_name) == (True, "tiny")


@pytest.mark.parametrize("cross", [False, True])
def test_layers_as_gemma_scope_spells_them(cross: bool, tmp_path: Path) -> None:
    save_gemma_scope_set(tmp_path / "set", cross=cross)
    sae, a = layer(tmp_path / "set", 1), torch.randn(6, 32)
    stored = load_file(tmp_path / "set" / "one" / "params_layer_1.safetensors")
    z = a @ stored["w_enc"] + stored["b_enc"]
    f = z * (z > stored["threshold"])
    torch.testing.assert_close(sae.encode(a), f)
    skipped = a @ stored["affine_skip_connection"]
    assert sae.skip is not None
    torch.testing.assert_close(a @ sae.skip.T, skipped)
    if not cross:
        expected = f @ stored["w_dec"] + stored["b_dec"] + skipped
        torch.testing.assert_close(sae.reconstruct(a), expected)
        return
    # Of the decoder's places for all layers, those from its own on are meant.
    assert [hook.layer for hook in sae.writes] == [1, 2]
    for place in (0, 1):
        made = f @ stored["w_dec"][:, 1 + place] + (stored["b_dec"] if place == 0 else 0)
        torch.testing.assert_close(sae.decode(f, a, place), made)
    assert sae.part_of is not None
    assert sae.part_of.n_layers == 3


@pytest.mark.parametrize("places", [1, 2, 4])
def test_a_decoder_of_other_layers_than_the_sets_is_refused(places: int, tmp_path: Path) -> None:
    """Layer 1 of 3 with two places could mean its own and the next, or the first two."""
    folder = tmp_path / "set"
    save_gemma_scope_set(folder, cross=True)
    with_tensor(folder, "one/params_layer_1.safetensors", "w_dec", 24, places, 32)
    for look in (lambda: look_at_sae(folder, "one", "layer_1"), lambda: layer(folder, 1)):
        with pytest.raises(SaereportError, match="the set has 3 layers"):
            look()


def test_a_layer_that_a_set_on_the_hub_does_not_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_gemma_scope_set(tmp_path / "set", cross=False)
    monkeypatch.setattr(asking, "_fetched", lambda _, name, __=None: tmp_path / "set" / name)
    assert load_sae(SaeSource(release="owner/set", sae_id="layer_2")).hook_in.layer == 2
    with pytest.raises(SaereportError, match="has no layer 7"):
        load_sae(SaeSource(release="owner/set", sae_id="layer_7"))


def test_files_on_the_hub_are_had_by_the_repository(tmp_path: Path) -> None:
    folder = save_clt(tmp_path / "clt")
    edited(folder, "scan:", "transcoders: [hf://a/b/c/d.safetensors]\nscan:")
    with pytest.raises(SaereportError, match="are files on the hub"):
        look_at_sae(folder, "one", "layer_0")


def edited(folder: Path, old: str, new: str) -> None:
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace(old, new))


def without(folder: Path, file: str, name: str) -> None:
    tensors = load_file(folder / file)
    del tensors[name]
    save_file(tensors, folder / file)


def with_tensor(folder: Path, file: str, name: str, *shape: int) -> None:
    save_file({**load_file(folder / file), name: torch.zeros(shape)}, folder / file)


@pytest.mark.parametrize(
    ("break_", "message"),
    [
        (lambda f: edited(f, "cross_layer_transcoder", "crosscoder"), "which is not known here"),
        (lambda f: edited(f, "hook_mlp_out", "hook_mlp_uot"), "not a hook point"),
        (lambda f: edited(f, "feature_input_hook: hook_resid_mid\n", ""), "feature_input_hook"),
        (lambda f: edited(f, "model_name: tiny", "model_name: [a]"), "which is no text"),
        (lambda f: edited(f, "cross_layer_transcoder", "[a]"), "which is no text"),
        (
            lambda f: edited(f, "scan:", "transcoders: [hf://a/b/c.npz]\nscan:"),
            r"'hf://a/b/c\.npz' .*no safetensors file",
        ),
        (
            lambda f: edited(f, "scan:", "transcoders: [x/../../y.safetensors]\nscan:"),
            "no safetensors file beside it",
        ),
        (lambda f: (f / "config.yaml").write_text("{"), "is not YAML"),
        (lambda f: (f / "config.yaml").write_text("- 1"), "holds no settings"),
        (lambda f: (f / "W_dec_1.safetensors").unlink(), r"lack the file W_dec_1\.safetensors"),
        (lambda f: (f / "W_dec_1.safetensors").write_bytes(b"12345678"), "damaged or cut short"),
        (lambda f: without(f, "W_enc_1.safetensors", "b_dec_1"), "lacks the tensor b_dec_1"),
        (lambda f: with_tensor(f, "W_enc_1.safetensors", "gate_1", 24), "'gate_1'.* not known"),
        (
            lambda f: with_tensor(f, "W_dec_1.safetensors", "W_dec_1", 24, 2, 31),
            r"W_dec_1 has shape \[24, 2, 31\], which does not go with",
        ),
        (
            lambda f: with_tensor(f, "W_enc_1.safetensors", "W_enc_1", 32, 24),
            "does not go with the layer's other tensors",
        ),
    ],
)
def test_what_is_damaged_or_not_understood_is_refused_at_the_door(
    break_: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    folder = save_clt(tmp_path / "clt")
    break_(folder)
    for look in (lambda: look_at_sae(folder, "one", "layer_1"), lambda: layer(folder, 1)):
        with pytest.raises(SaereportError, match=message):
            look()


@pytest.mark.parametrize("asked", [None, "layer_3", "blocks.1", "layer_-1"])
def test_a_layer_must_be_named(asked: str | None, clt: Path) -> None:
    for look in (
        lambda: look_at_sae(clt, "one", asked),
        lambda: load_sae(SaeSource(path=str(clt), sae_id=asked)),
    ):
        with pytest.raises(SaereportError) as caught:
            look()
        assert "layer_0 to layer_2" in str(caught.value.hint)


def test_without_a_kind_the_files_say_it(tmp_path: Path) -> None:
    folder = save_clt(tmp_path / "clt")
    edited(folder, "model_kind: cross_layer_transcoder\n", "")
    assert len(layer(folder, 0).writes) == 3
