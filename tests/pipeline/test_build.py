"""The whole way from a configuration to a run, on a tiny random model."""

from __future__ import annotations

import os
import shutil
import signal
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saereport.config.build import make_config
from saereport.measure import STATISTICS
from saereport.pipeline import build, loading
from saereport.report.rendering import render
from saereport.run import Run, open_run
from saereport.sources.text import packing
from saereport.util.errors import SaereportError, UsageError
from saereport.util.priority import token_priorities
from saereport.util.progress import Progress
from tests.factories import save_sae, tiny_model

WORDS = 6000
CONTEXT = 32


class Told(Progress):
    """A progress that remembers what it said."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    with (folder / "text.jsonl").open("w") as stream:
        for _ in range(WORDS // 40):
            words = " ".join(f"w{n}" for n in (rng.zipf(1.3, 40) % 98) + 2)
            stream.write(f'{{"text": "{words}"}}\n')
    save_sae(folder / "early", "jumprelu", hook_name="blocks.0.hook_resid_post", d_sae=40)
    save_sae(folder / "z", "standard", hook_name="blocks.1.attn.hook_z", d_sae=48)
    save_sae(folder / "late", "topk", hook_name="blocks.2.hook_resid_pre", d_sae=56)
    save_sae(folder / "mlp", "transcoder", hook_name="blocks.2.ln2.hook_normalized", d_sae=24)
    return folder


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, **_: Any) -> Any:
        assert name == "tiny"
        return tiny_model()

    monkeypatch.setattr(loading, "load_model", load)


def asked(inputs: Path, *saes: str, **changes: Any) -> dict[str, Any]:
    return {
        "saes": [{"path": inputs / name} for name in saes or ("early", "z", "late", "mlp")],
        "dataset": str(inputs / "text.jsonl"),
        "latents": "0-7,20",
        "tokens": 4000,
        "batch_size": 8,
        "device": "cpu",
        "examples": {"top": 5, "before": 4, "after": 2, "intervals": 3, "per_group": 2},
        **changes,
    }


def files(run: Path) -> dict[str, bytes]:
    return {
        path.relative_to(run).as_posix(): path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file()
    }


def dense(run: Run, inputs: Path, slug: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens, what counts, and all activations of an SAE, by the plainest way there is."""
    from saereport.sources.saes.loading import load_sae
    from saereport.sources.saes.source import SaeSource
    from saereport.sources.text.opening import open_text
    from saereport.sources.text.packing import Portion, Rules, pack

    model = tiny_model()
    sae = load_sae(SaeSource(path=str(inputs / slug)))
    packed = list(
        pack(
            open_text(inputs / "text.jsonl").documents(),
            model.tokenizer,
            Rules(CONTEXT, prepend_bos=True, bos_id=model.bos_id, special_ids=model.special_ids),
            Portion(4000),
        )
    )
    tokens = np.concatenate([part.tokens for part in packed])
    counted = np.concatenate([part.counted for part in packed])
    name = sae.hook_in.name
    _, cache = model.model.run_with_cache(torch.from_numpy(tokens.astype(np.int64)))
    activations = cache[name]
    if sae.hook_in.kind == "z":
        activations = activations.flatten(2)
    return tokens, counted, sae.loaded.encode(activations).detach().numpy()


@pytest.fixture(scope="module")
def made(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "load_model", lambda name, **_: tiny_model())
        yield build.collect(asked(inputs), tmp_path_factory.mktemp("runs") / "run")


@pytest.mark.parametrize("slug", ["early", "z", "late", "mlp"])
def test_the_numbers_are_those_of_a_dense_computation(made: Path, inputs: Path, slug: str) -> None:
    run = open_run(made)
    run.verify()
    tokens, counted, f = dense(run, inputs, slug)
    assert run.info.text.n_tokens == tokens.size == 4000
    assert run.info.text.n_counted == counted.sum()
    activity = run.table("activity", slug).to_pydict()
    assert activity["latent"] == [*range(8), 20]
    for row, latent in enumerate(activity["latent"]):
        values = f[counted][:, latent]
        assert activity["n_active"][row] == (values > 0).sum()
        assert activity["density"][row] == (values > 0).mean()
        assert activity["max"][row] == pytest.approx(values.max(), rel=1e-5)
    whole = run.table("sae_activity", slug)["n_active"].to_numpy()
    assert whole.tolist() == (f[counted] > 0).sum(axis=0).tolist()
    info = run.info.sae(slug)
    assert info.l0 is not None
    assert info.l0.mean == pytest.approx((f[counted] > 0).sum(axis=1).mean())
    assert info.n_dead == ((f[counted] > 0).sum(axis=0) == 0).sum()


def test_what_reports_are_compared_by(made: Path, inputs: Path, tmp_path: Path) -> None:
    """Sketches hold what they should, and batches change neither them nor the figures."""
    run = open_run(made)
    smaller = open_run(build.collect(asked(inputs, batch_size=3), tmp_path / "run"))
    for sae in run.info.saes:
        _, counted, f = dense(run, inputs, sae.slug)
        sketches = run.table("active_sketch", sae.slug).to_pylist()
        assert [row["latent"] for row in sketches] == [*range(8), 20]
        for row in sketches:
            active = np.flatnonzero((f[:, :, row["latent"]] > 0) & counted)
            lowest = active[np.argsort(token_priorities(active, CONTEXT))][:64]
            assert row["tokens"] == lowest.tolist()
            values = f[:, :, row["latent"]].reshape(-1)[lowest]
            np.testing.assert_allclose(row["values"], values, rtol=1e-5)
        again = smaller.table("active_sketch", sae.slug)
        assert again["tokens"].to_pylist() == [row["tokens"] for row in sketches]
        figures = run.table("sae_metrics", sae.slug)
        assert figures.equals(smaller.table("sae_metrics", sae.slug))
        rows = {row["metric"]: row for row in figures.to_pylist()}
        assert rows["explained_variance"]["n_tokens"] == run.info.text.n_counted
        assert sae.l0 is not None
        assert rows["l0"]["value"] == pytest.approx(sae.l0.mean)
        norms = np.linalg.norm(
            run.table("decoder_directions", sae.slug)["direction"].to_pylist(), axis=1
        )
        np.testing.assert_allclose(norms, 1, rtol=1e-3)


@pytest.mark.parametrize("changes", [{"evaluate": 0}, {"skip": ["sae_metrics"]}])
def test_figures_of_whole_saes_can_be_left_out(
    inputs: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    run = open_run(build.collect(asked(inputs, "early", **changes), tmp_path / "run"))
    assert not run.has("sae_metrics", "early")
    assert run.info.sae("early").left_out["sae_metrics"] == "it was skipped"


def test_fewer_tokens_are_evaluated_when_that_is_asked(inputs: Path, tmp_path: Path) -> None:
    config = asked(inputs, "early", evaluate=100)
    run = open_run(build.collect(config, tmp_path / "run"))
    figures = run.table("sae_metrics", "early")
    over = {row["metric"]: row["n_tokens"] for row in figures.to_pylist()}
    assert over["mse"] == 100
    assert 90 <= over["ce_spliced"] < 100  # BOS parts documents and begins sequences
    values = {row["metric"]: row["value"] for row in figures.to_pylist()}
    said = [warning.text for warning in run.info.warnings_of("early")]
    for kind in ("zero", "mean"):
        small = any(line.startswith(f"{kind.capitalize()} ablation costs") for line in said)
        assert small is (values[f"ce_added_{kind}"] < 0.05)
    assert any("ablation costs" in line for line in said)


def test_examples_point_into_the_stored_sequences(made: Path, inputs: Path) -> None:
    run = open_run(made)
    tokens, _, f = dense(run, inputs, "late")
    stored = run.table("sequences").to_pydict()
    for number, row in zip(stored["sequence"], stored["tokens"], strict=True):
        assert row == tokens[number].tolist()
    for example in run.table("examples", "late").to_pylist():
        at = f[example["sequence"], example["position"], example["latent"]]
        assert example["activation"] == pytest.approx(at, rel=1e-5)
        assert example["sequence"] in stored["sequence"]


def test_every_token_that_is_shown_has_its_bytes(made: Path) -> None:
    run = open_run(made)
    known = set(run.table("vocabulary")["token"].to_pylist())
    for sae in run.info.saes:
        for name in run.names(sae.slug):
            table = run.table(name, sae.slug)
            for column in ("token", "top_tokens", "bottom_tokens"):
                if column in table.column_names:
                    values = table[column].combine_chunks()
                    flat = values.flatten() if column != "token" else values
                    assert set(flat.to_pylist()) <= known
    for row in run.table("sequences")["tokens"].to_pylist():
        assert set(row) <= known


def test_a_run_says_what_it_left_out(made: Path) -> None:
    run = open_run(made)
    assert run.has("head_shares", "z")
    assert "head_shares" in run.info.sae("late").left_out
    pulled = set(run.table("pullbacks", "mlp")["early"].to_pylist())
    assert pulled == {"early", "z", "late"}
    assert not run.has("pullbacks", "early")


def test_nothing_of_this_machine_is_in_a_run(made: Path, inputs: Path) -> None:
    text = (made / "run.json").read_text()
    assert str(inputs) not in text
    assert str(made) not in text
    assert os.uname().nodename not in text.split('"')


def test_equal_inputs_give_equal_bytes_even_from_another_folder(
    made: Path, inputs: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere"
    moved.symlink_to(inputs)
    again = build.collect(asked(moved), tmp_path / "run")
    assert files(again) == files(made)


class Stopped(Exception):
    """Stands in for a crash."""


def stop_after(monkeypatch: pytest.MonkeyPatch, blocks: int, act: Callable[[], None]) -> None:
    from saereport.pipeline.seen import Seen

    take = Seen.take
    calls = [0]

    def counting(self: Seen, packed: Any) -> None:
        take(self, packed)
        calls[0] += 1
        if calls[0] == blocks:
            act()

    monkeypatch.setattr(Seen, "take", counting)
    # On a busy machine it reads some of the text to say how long all will take.
    monkeypatch.setattr(build, "before_start", lambda *_, **__: None)


def crash() -> None:
    raise Stopped


@pytest.mark.parametrize("blocks", [1, 5, 15])
def test_after_a_crash_the_same_call_resumes_to_the_same_bytes(
    made: Path, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: int
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, blocks, crash)
        patch.setattr("saereport.pipeline.checkpoint.Checkpoint.due", True)
        with pytest.raises(Stopped):
            build.collect(asked(inputs), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    told = Told()
    again = build.collect(asked(inputs), tmp_path / "run", progress=told)
    resumed = [line for line in told.lines if line.startswith("Going on from the checkpoint")]
    assert bool(resumed) == (blocks > 1)
    assert files(again) == files(made)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("run", "run.kept", "run.timing.json")
    ]


def test_the_text_is_tokenised_once_for_all_stages_and_for_what_goes_on(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenised: list[Any] = []
    tokenize = packing._tokenize

    def counting(group: Any, tokenizer: Any) -> Any:
        tokenised.extend(number for number, _ in group)
        return tokenize(group, tokenizer)

    # Looking at the beginning of the text before the long work needs no more than that.
    monkeypatch.setattr("saereport.pipeline.text.LOOK_DOCUMENTS", 1)
    monkeypatch.setattr(packing, "_tokenize", counting)
    settings = asked(inputs, "early", batch_size=4)
    with monkeypatch.context() as patch:
        stop_after(patch, 5, crash)
        with pytest.raises(Stopped):
            build.collect(settings, tmp_path / "run")
    assert {0, 1, 50} <= set(tokenised)
    tokenised.clear()
    build.collect(settings, tmp_path / "run")
    assert set(tokenised) <= {0}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("run", "run.kept", "run.timing.json")
    ]


def test_ctrl_c_saves_between_blocks_and_resumes(
    made: Path, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 3, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            build.collect(asked(inputs), tmp_path / "run")
    told = Told()
    again = build.collect(asked(inputs), tmp_path / "run", progress=told)
    assert f"Going on from the checkpoint, after {3 * 8 * CONTEXT:,} tokens" in told.lines
    assert files(again) == files(made)


def test_a_checkpoint_of_other_work_is_not_used(inputs: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 3, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            build.collect(asked(inputs), tmp_path / "run")
    told = Told()
    build.collect(asked(inputs, seed=1), tmp_path / "run", progress=told)
    assert not [line for line in told.lines if line.startswith("Going on")]
    said = "cannot be used: the setting 'seed' changed; starting anew"
    assert any(said in line for line in told.lines)


def run_out_of_memory_above(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    from saereport.sources.saes.sae import Sae

    encode = Sae.encode

    def limited(self: Sae, a: torch.Tensor) -> torch.Tensor:
        if len(a) > limit and self.slug == "late":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(self, a)

    monkeypatch.setattr(Sae, "encode", limited)


def test_batches_halve_when_memory_runs_out_and_nothing_is_counted_twice(
    made: Path, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_out_of_memory_above(monkeypatch, 20)
    told = Told()
    path = build.collect(
        asked(inputs, batch_size="auto", circuits={"examples": 0}), tmp_path / "run", progress=told
    )
    said = [line for line in told.lines if "Memory ran out" in line]
    assert said[-1] == "Memory ran out; going on with 16 sequences in a batch"
    one, other = open_run(made), open_run(path)
    assert other.info.text == one.info.text
    for sae in one.info.saes:
        a, b = (run.table("activity", sae.slug).to_pydict() for run in (one, other))
        assert a["n_active"] == b["n_active"]
        np.testing.assert_allclose(a["mean_active"], b["mean_active"], rtol=1e-5)


def test_a_fixed_batch_that_does_not_fit_says_so(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_out_of_memory_above(monkeypatch, 0)
    with pytest.raises(SaereportError, match="batch of 8 sequences does not fit"):
        build.collect(asked(inputs), tmp_path / "run")
    with pytest.raises(SaereportError, match="not even hold a batch of one"):
        build.collect(asked(inputs, batch_size="auto"), tmp_path / "run")


def test_activations_that_are_no_numbers_are_located(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from saereport.sources.saes.sae import Sae

    encode = Sae.encode

    def broken(self: Sae, a: torch.Tensor) -> torch.Tensor:
        f = encode(self, a).clone()
        if self.slug == "z":
            f[2:3, 5, 3] = float("nan")
        return f

    monkeypatch.setattr(Sae, "encode", broken)
    with pytest.raises(SaereportError, match=r"The SAE z gave NaN .*sequence 2, position 5"):
        build.collect(asked(inputs), tmp_path / "run")


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 3e30])
def test_late_activations_that_cannot_be_measured_cost_their_latents_alone(
    made: Path, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    """As seen: measured for hours, and then refused by the reader; across an interruption too."""
    from saereport.pipeline.collector import SaeCollector

    find, exactly, encoded = SaeCollector.find, SaeCollector.exactly, SaeCollector.encoded
    first: dict[str, int] = {}

    def looking(work: Any) -> Any:
        def noted(self: SaeCollector, packed: Any, *rest: Any) -> Any:
            first[self.sae.slug] = packed.first
            try:
                return work(self, packed, *rest)
            finally:
                first.pop(self.sae.slug, None)

        return noted

    def broken(self: SaeCollector, a: torch.Tensor) -> Any:
        for f in encoded(self, a):
            if self.sae.slug == "z" and first.get("z") in (24, 48):
                f = f.clone().reshape(*a.shape[:2], -1)
                f[2, 5, 3] = f[1, 7, 3] = f[0, 9, 30] = value
                f[0, 0, 1] = float("nan")  # on BOS, which counts nowhere
                f = f.reshape(-1, f.shape[-1])
            yield f

    monkeypatch.setattr(SaeCollector, "find", looking(find))
    monkeypatch.setattr(SaeCollector, "exactly", looking(exactly))
    monkeypatch.setattr(SaeCollector, "encoded", broken)
    with monkeypatch.context() as patch:
        stop_after(patch, 5, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            build.collect(asked(inputs, "early", "z"), tmp_path / "run")
    told = Told()
    path = build.collect(asked(inputs, "early", "z"), tmp_path / "run", progress=told)
    assert [line for line in told.lines if line.startswith("Going on from the checkpoint")]
    run = open_run(path)
    run.verify()
    assert run.table("activity", "z")["latent"].to_pylist() == [0, 1, 2, 4, 5, 6, 7, 20]
    (warning,) = [w for w in run.info.warnings if "no numbers" in w.text]
    assert warning.about == "z"
    assert "Latent 30 gave" in warning.text
    assert "(2 times, first in sequence 24, position 9), and 1 more latents" in warning.text
    before = open_run(made)
    same = run.table("activity", "early").equals(before.table("activity", "early"))
    assert same
    kept = before.table("activity", "z").to_pylist()
    assert run.table("activity", "z").to_pylist() == [r for r in kept if r["latent"] != 3]
    render(path, tmp_path / "report")


def test_activations_that_are_huge_from_the_beginning_are_refused(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from saereport.sources.saes.sae import Sae

    encode = Sae.encode
    monkeypatch.setattr(Sae, "encode", lambda self, a: encode(self, a) * 1e30)
    with pytest.raises(SaereportError, match=r"gave absurdly large \(.*e\+\d+\) activations"):
        build.collect(asked(inputs, "early"), tmp_path / "run")


@pytest.mark.parametrize("name", ["W_dec", "W_enc"])
def test_absurd_weights_are_refused_before_the_text(
    inputs: Path, tmp_path: Path, name: str
) -> None:
    from safetensors.torch import load_file, save_file

    absurd = tmp_path / "absurd"
    shutil.copytree(inputs / "early", absurd)
    weights = load_file(absurd / "sae_weights.safetensors")
    weights[name][7, 3] = -2e31
    save_file(weights, absurd / "sae_weights.safetensors")
    config = {**asked(inputs), "saes": [{"path": absurd}]}
    with pytest.raises(SaereportError, match=rf"absurdly large numbers in {name}, first -2e\+31"):
        build.collect(config, tmp_path / "run")


def test_a_table_that_a_run_cannot_hold_is_left_out_with_its_reason(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from saereport.measure.weights import decoder

    def compute(context: Any) -> Any:
        columns = decoder.compute_geometry(context)
        return {**columns, "decoder_norm": np.asarray(columns["decoder_norm"]) * 1e37}

    monkeypatch.setattr(decoder, "GEOMETRY", replace(decoder.GEOMETRY, compute=compute))
    run = open_run(build.collect(asked(inputs, "early"), tmp_path / "run"))
    run.verify()
    assert "'decoder_norm' would hold numbers" in run.info.sae("early").left_out["geometry"]
    assert run.has("activity", "early")


def test_only_chosen_latents_are_encoded_when_nothing_needs_the_others(
    made: Path, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from saereport.sources.saes.sae import Sae

    def whole(self: Sae, a: torch.Tensor) -> torch.Tensor:
        raise AssertionError(f"{self.slug} was encoded whole")

    monkeypatch.setattr(Sae, "encode", whole)
    # The look at the first tokens is for the whole SAE, whatever is measured afterwards.
    monkeypatch.setattr("saereport.pipeline.sanity.check_sanity", lambda *_: {})
    skipped = [name for name, s in STATISTICS.items() if s.needs_all_latents]
    skipped.append("sae_metrics")
    config = asked(inputs, "early", "z", skip=skipped, circuits={"examples": 0})
    path = build.collect(config, tmp_path / "run")
    sliced, full = open_run(path), open_run(made)
    assert sliced.info.sae("z").l0 is None
    assert not sliced.has("coactivation", "z")
    exact = {"activity": ["n_active"], "examples": ["latent", "group", "sequence", "position"]}
    for slug in ("early", "z"):
        for name, columns in exact.items():
            one, other = (run.table(name, slug).select(columns) for run in (sliced, full))
            assert one.equals(other), name
        largest = [run.table("activity", slug)["max"].to_numpy() for run in (sliced, full)]
        np.testing.assert_allclose(*largest, rtol=1e-5)


def test_live_and_top_are_decided_after_the_text(inputs: Path, tmp_path: Path) -> None:
    live = open_run(build.collect(asked(inputs, "late", latents="live"), tmp_path / "live"))
    n_active = live.table("sae_activity", "late")["n_active"].to_numpy()
    assert live.table("activity", "late")["latent"].to_pylist() == np.flatnonzero(n_active).tolist()
    top = open_run(build.collect(asked(inputs, "late", latents="top:4"), tmp_path / "top"))
    chosen = top.table("activity", "late")["latent"].to_pylist()
    assert sorted(n_active[chosen]) == sorted(n_active)[-4:]
    assert top.info.sae("late").n_chosen == 4


def test_tensors_of_a_failed_attempt_are_gone_before_the_next(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from saereport.sources.models import HookedModel

    run = HookedModel.run
    alive: list[weakref.ref[torch.Tensor]] = []
    left: list[int] = []

    def watched(self: Any, tokens: torch.Tensor, hooks: Any) -> dict[str, torch.Tensor]:
        left.append(sum(ref() is not None for ref in alive))
        found = run(self, tokens, hooks)
        alive[:] = [weakref.ref(tensor) for tensor in found.values()]
        return found

    monkeypatch.setattr(HookedModel, "run", watched)
    run_out_of_memory_above(monkeypatch, 20)
    build.collect(asked(inputs, "late", batch_size="auto"), tmp_path / "run")
    assert len(left) > 5
    assert not any(left)


def test_a_new_title_needs_no_new_reading(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.collect(asked(inputs, "early", title="one"), tmp_path / "run")
    monkeypatch.setattr("saereport.pipeline.text_pass.TextPass.run", lambda *_: crash())
    build.collect(asked(inputs, "early", title="two"), tmp_path / "run")
    run = open_run(tmp_path / "run")
    run.verify()
    assert run.info.title == "two"


def test_other_labels_go_on_from_the_same_checkpoint(inputs: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 3, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            build.collect(asked(inputs, "early"), tmp_path / "run")
    labels = tmp_path / "labels.csv"
    labels.write_text("index,description\n2,twos\n")
    told = Told()
    build.collect(asked(inputs, "early", explanations=labels), tmp_path / "run", progress=told)
    assert [line for line in told.lines if line.startswith("Going on from the checkpoint")]


def test_labels_come_into_the_run(inputs: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    labels.write_text('{"index": 3, "description": "threes"}\n{"index": 39, "description": "-"}\n')
    path = build.collect(
        asked(inputs, "early", explanations=labels, skip=["coactivation"]), tmp_path / "run"
    )
    rows = open_run(path).table("explanations", "early").to_pylist()
    assert [(row["latent"], row["text"]) for row in rows] == [(3, "threes")]


def test_the_memory_profile_names_what_was_large(inputs: Path, tmp_path: Path) -> None:
    told = Told()
    path = build.collect(
        asked(inputs, "early", profile_memory=True), tmp_path / "run", progress=told
    )
    memory = open_run(path).info.memory
    assert memory is not None
    stages = ["load", "plan", "statistics", "evaluation", "example_attribution"]
    stages += ["output_scores", "directions", "weights"]
    assert [peak.stage for peak in memory.peaks] == stages
    assert all(peak.process_bytes > 2**20 for peak in memory.peaks)
    assert {row.stage for row in memory.rows} == {peak.stage for peak in memory.peaks}
    assert all(row.name and row.bytes > 0 and row.device == "cpu" for row in memory.rows)
    assert any("peak of process" in line for line in told.lines)


@pytest.mark.parametrize(
    ("saes", "changes", "message"),
    [
        (
            ("early",),
            {"latents": "0-99"},
            "Latent 99 is out of range: the SAE early has",
        ),
        (("early",), {"skip": ["coactivations"]}, "Did you mean 'coactivation'"),
        (("early",), {"skip": ["activity"]}, "cannot be skipped"),
        (("early",), {"dataset": "nowhere.jsonl"}, "nowhere.jsonl"),
        (("early",), {"text_column": "txt"}, "Did you mean 'text'"),
        (("early",), {"context_size": 65}, "longer than the model's 64"),
        (("early", "nothing"), {}, "nothing"),
        (("early",), {"map": "umap"}, "pip install 'saereport[umap]'"),
    ],
)
def test_bad_input_is_told_in_one_line_and_leaves_nothing(
    inputs: Path, tmp_path: Path, saes: tuple[str, ...], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SaereportError) as caught:
        build.collect(asked(inputs, *saes, **changes), tmp_path / "run")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_saes_that_cannot_share_a_pass_are_refused(inputs: Path, tmp_path: Path) -> None:
    for name, metadata, message in (
        ("other-model", {"model_name": "gpt2"}, "trained on tiny and other-model on gpt2"),
        ("no-bos", {"prepend_bos": False}, "only early want BOS"),
        (
            "centred",
            {"model_from_pretrained_kwargs": {"center_writing_weights": True}},
            "loaded in different ways",
        ),
    ):
        save_sae(tmp_path / name, metadata=metadata)
        config = asked(inputs, "early")
        config["saes"].append({"path": tmp_path / name})
        with pytest.raises(SaereportError, match=message):
            build.collect(config, tmp_path / "run")


def test_a_folder_with_other_things_is_left_alone(inputs: Path, tmp_path: Path) -> None:
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter.txt").write_text("years of work")
    for make in (build.collect, build.build):
        with pytest.raises(SaereportError, match="exists and is not a"):
            make(asked(inputs), thesis)
    assert (thesis / "chapter.txt").read_text() == "years of work"


def test_what_the_user_put_beside_our_files_is_never_removed(
    made: Path, inputs: Path, tmp_path: Path
) -> None:
    run, report = tmp_path / "run", tmp_path / "report"
    shutil.copytree(made, run)
    render(made, report)
    for make, out, stranger in (
        (build.collect, run, "notes.txt"),
        (build.build, report, "CNAME"),
        (build.build, report, ".git/HEAD"),
        (build.build, tmp_path / "other", "run/thesis.txt"),
        (build.collect, tmp_path / "theirs", "run.json"),
    ):
        path = out / stranger
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
        with pytest.raises(SaereportError):
            make(asked(inputs, "early"), out)
        assert path.read_text() == "mine"
        path.unlink()
    (report / ".git").rmdir()
    build.build(asked(inputs, "early"), report)


def test_the_folder_one_stands_in_is_not_replaced(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for out in (".", "..", tmp_path):
        with pytest.raises(SaereportError, match="folder you are in"):
            build.build(asked(inputs, "early"), out)


def test_weights_that_are_no_numbers_are_refused_before_the_text(
    inputs: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    poisoned = tmp_path / "poisoned"
    shutil.copytree(inputs / "early", poisoned)
    weights = load_file(poisoned / "sae_weights.safetensors")
    weights["W_dec"][7, 3] = float("nan")
    save_file(weights, poisoned / "sae_weights.safetensors")
    config = {**asked(inputs), "saes": [{"path": poisoned}]}
    with pytest.raises(SaereportError, match=r"poisoned holds NaN .* in W_dec, first at \[7, 3\]"):
        build.collect(config, tmp_path / "run")


def test_labels_of_another_sae_are_noticed(inputs: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("index,description\n40,forty\n")
    with pytest.raises(SaereportError, match="label latent 40, but it has 40 latents"):
        build.collect(asked(inputs, "early", explanations=labels), tmp_path / "run")


def test_build_makes_a_report_with_its_run_and_can_replace_it(inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    for latents in ("0-3", "0-5"):
        build.build(asked(inputs, "early", latents=latents), out)
        assert (out / "index.html").is_file()
        run = open_run(out)
        run.verify()
        assert run.info.saes[0].selection == latents
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("report", "report.kept", "report.timing.json")
    ]


def test_a_build_whose_rendering_failed_does_not_read_the_text_again(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "report"
    with monkeypatch.context() as patch:
        patch.setattr(build, "render", lambda *_, **__: crash())
        with pytest.raises(Stopped):
            build.build(asked(inputs, "early"), out)
    told = Told()
    monkeypatch.setattr("saereport.pipeline.text_pass.TextPass.run", lambda *_: crash())
    build.build(asked(inputs, "early"), out, progress=told)
    assert "This run is already collected; using it" in told.lines
    assert (out / "index.html").is_file()


def test_a_wrong_configuration_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        build.collect({"saes": []}, "nowhere")
    assert make_config({"saes": [{"path": "x"}]}).checked().latents == "random:50"
