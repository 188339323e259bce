"""Absorption in a build: words of the vocabulary in prompts, read with kept keys and without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import saereport
from saereport.config.build import make_config
from saereport.pipeline import absorption as words_of
from saereport.pipeline import build, loading
from saereport.pipeline.absorption import LetterTask, read_words, vocabulary_words
from saereport.run import open_run
from saereport.site import render
from saereport.sources.models import LanguageModel
from saereport.util.errors import SaereportError, UsageError
from saereport.util.progress import Progress
from tests.factories import save_sae, tiny_hooked

Asked = Callable[..., dict[str, Any]]
QUIET = Progress(quiet=True)
TABLES = ("absorption_letters", "absorption_latents")
SIZE = 100


def spelling_tokenizer() -> Any:
    """A tokeniser of whole words: 30 that begin with b, 30 with k, 3 with q, and others."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = ["<bos>", "<eos>", "w2", "has", "the", "first", "letter:", "K", "B"]
    for first, n in (("b", 30), ("K", 30), ("q", 3)):
        names += [f"{first}{'xyz'[i % 3]}{'uvwst'[i // 6]}{'mnop'[i % 4]}" for i in range(n)]
    names = list(dict.fromkeys(names))
    names += [f"w{i}" for i in range(len(names), SIZE)]
    backend = Tokenizer(models.WordLevel({n: i for i, n in enumerate(names)}, unk_token="w2"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<bos>", eos_token="<eos>", pad_token="<eos>"
    )


def spelling_model() -> Any:
    from saereport.sources.models import HookedModel

    model = tiny_hooked()
    model.tokenizer = spelling_tokenizer()
    return HookedModel(model, name="tiny", device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture
def spelling(
    asked: Asked, small: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """A build of the model that has words, with an SAE that absorption is not defined for."""
    monkeypatch.setattr(loading, "load_model", lambda name, **_: spelling_model())
    if not (small / "mlp").exists():
        save_sae(small / "mlp", "topk", hook_name="blocks.1.hook_mlp_out", d_sae=40)
    saes = [{"path": small / name} for name in ("early", "mlp", "late")]
    test = {"letters": "b, k, q", "shown": 2, "words": 40}

    def make(**changes: Any) -> dict[str, Any]:
        return asked(**{"saes": saes, "absorption": True, "absorption_test": test, **changes})

    return make


def test_it_is_off_unless_asked_for(asked: Asked, tmp_path: Path) -> None:
    run = open_run(build.collect(asked(), tmp_path / "run", progress=QUIET))
    assert not run.has("absorption_words")
    for sae in run.info.saes:
        assert not set(TABLES) & (set(sae.left_out) | set(run.names(sae.slug)))


def test_tables_and_page(spelling: Asked, tmp_path: Path) -> None:
    run = open_run(build.collect(spelling(), tmp_path / "run", progress=QUIET))
    run.verify()
    words = {row["letter"]: row for row in run.table("absorption_words").to_pylist()}
    # Three words of q are too few for a letter.
    assert set(words) == {"*", "b", "k"}
    assert words["b"]["n_in_vocabulary"] == words["k"]["n_in_vocabulary"] > 20
    assert words["*"]["n_words"] == words["b"]["n_words"] + words["k"]["n_words"]
    for slug in ("early", "late"):
        rows = run.table("absorption_letters", slug).to_pylist()
        assert [row["letter"] for row in rows] == ["*", "b", "k"]
        latents = run.table("absorption_latents", slug).to_pylist()
        for row in rows[1:]:
            mine = [r for r in latents if r["letter"] == row["letter"]]
            assert sum(r["role"] == "main" for r in mine) == row["n_main"]
            absorbing = [r for r in mine if r["role"] == "absorbing"]
            assert sum(r["n_words"] for r in absorbing) == row["n_full"]
    (mlp,) = [sae for sae in run.info.saes if sae.slug == "mlp"]
    assert mlp.left_out["absorption_letters"].startswith("it reads at 'blocks.1.hook_mlp_out'")
    render(run.path, tmp_path / "report")
    page = (tmp_path / "report" / "absorption" / "index.html").read_text("utf-8")
    assert "Not of mlp: it reads at" in page


def test_words_are_tokens_of_letters_and_nothing_else() -> None:
    found = vocabulary_words(spelling_model(), "abcdefghijklmnopqrstuvwxyz")
    tokenizer = spelling_tokenizer()
    names = {letter: tokenizer.convert_ids_to_tokens(ids) for letter, ids in found.items()}
    assert set(names) == {"b", "f", "h", "k", "q", "t"}
    assert names["h"] == ["has"]
    assert all(name.startswith("K") for name in names["k"])
    assert not any("letter:" in mine or "w2" in mine for mine in names.values())


class _Context:
    """What `read_words` asks of a context."""

    def __init__(self, model: LanguageModel) -> None:
        self.model, self.progress = model, QUIET


def task(model: LanguageModel) -> LetterTask:
    found = vocabulary_words(model, "bk")
    tokens = np.array([token for mine in found.values() for token in mine[:12]])
    letters = np.array([letter for letter in found for _ in range(12)])
    return LetterTask(tokens, letters, (0, 9, 3, 8), (3, 4, 5, 6), (8, 7), ("b", "k"), {})


@pytest.mark.parametrize("keeps", [True, False])
def test_every_word_is_read_as_in_a_pass_of_its_own(
    tiny_sae: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, keeps: bool
) -> None:
    model = spelling_model()
    sae = tiny_sae("jumprelu", hook_name="blocks.1.hook_resid_post")
    monkeypatch.setattr(words_of, "TOKENS_TOGETHER", 5 * 9)
    if not keeps:
        monkeypatch.setattr(words_of, "keeps_keys", lambda *_: False)
    asked = task(model)
    found = read_words(_Context(model), asked, [sae])  # type: ignore[arg-type]
    name = sae.hook_in.name
    for i, word in enumerate(asked.tokens.tolist()):
        ids = torch.tensor([[*asked.before, word, *asked.after]])
        a = model.run(ids, [name])[name][0, 4]
        np.testing.assert_allclose(found.activations[name][i], a, atol=1e-4)
        f = sae.encode(a[None])[0].numpy()
        np.testing.assert_allclose(found.latents[sae.slug][[i]].toarray()[0], f, atol=1e-3)
        with torch.no_grad():
            logits = model.model(ids)[0, -1]
        said = "b" if logits[8] >= logits[7] else "k"
        assert found.spelled[i] == (said == asked.letters[i])


@pytest.mark.parametrize("how", ["none", "layer_norm", "constant_norm_rescale"])
def test_what_latents_write_is_told_in_units_of_the_activation(
    tiny_sae: Callable[..., Any], how: str
) -> None:
    model = spelling_model()
    sae = tiny_sae("topk", hook_name="blocks.1.hook_resid_post", normalize_activations=how)
    asked = task(model)
    found = read_words(_Context(model), asked, [sae])  # type: ignore[arg-type]
    for i, word in enumerate(asked.tokens.tolist()[:4]):
        ids = torch.tensor([[*asked.before, word, *asked.after]])
        a = model.run(ids, [sae.hook_in.name])[sae.hook_in.name][0, 4][None]
        f = sae.encode(a)
        latent = int(f[0].argmax())
        less = f.clone()
        less[0, latent] = 0
        # With the same activation read before, so that the decoder undoes the same scale.
        sae.encode(a)
        written = (sae.decode(f, a) - sae.decode(less, a))[0]
        scale = float(found.scales[sae.slug][i])
        row = sae.write_rows(torch.tensor([latent]))[0]
        np.testing.assert_allclose(written, f[0, latent] * row * scale, rtol=1e-3, atol=1e-4)
        assert (scale == 1) == (how == "none")


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ({"letters": "b"}, "at least two"),
        ({"letters": "b3"}, "letters a to z"),
        ({"template": "no place"}, "{word} in it once"),
        ({"template": "it is {word}"}, "something behind it"),
        ({"words": 3}, "greater than or equal to 40"),
    ],
)
def test_what_means_nothing_is_refused(asked: Asked, test: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_config(asked(absorption=True, absorption_test=test))
    assert said in str(caught.value)


def test_a_vocabulary_without_words_and_long_prompts_are_refused_before_the_text_is_read(
    asked: Asked, spelling: Asked, tmp_path: Path, passes: list[tuple[int, int]]
) -> None:
    config = spelling(absorption_test={"letters": "b,k", "shown": 12})
    with pytest.raises(SaereportError, match="the context of tiny holds 64"):
        build.collect(config, tmp_path / "run", progress=QUIET)
    config = spelling(absorption_test={"letters": "q,x"})
    with pytest.raises(SaereportError, match="absorption needs two letters"):
        build.collect(config, tmp_path / "run", progress=QUIET)
    assert passes == []


def test_where_no_sae_is_on_the_residual_stream_it_is_said(
    spelling: Asked, small: Path, tmp_path: Path
) -> None:
    config = spelling(saes=[{"path": small / "mlp"}])
    run = open_run(build.collect(config, tmp_path / "run", progress=QUIET))
    assert any("Absorption is measured for no SAE" in w.text for w in run.info.warnings)
    assert not run.has("absorption_words")


def test_what_it_takes_is_told_beforehand(spelling: Asked, tmp_path: Path) -> None:
    plan = saereport.plan(spelling(), tmp_path / "report")
    (stage,) = [stage for stage in plan.stages if stage.name == "absorption"]
    assert (stage.seconds or 0) > 0
    assert (stage.host_bytes or 0) > 2**20
    assert plan.unknown == ()
