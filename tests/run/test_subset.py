"""Cutting a run, checked row by row against a plain filter in Python."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saereport.run import TABLES, Column, Run, RunWriter, Table, open_run, registry
from saereport.run.kinds import Cosine, Count, Prompt
from saereport.run.subset import subset, taking_part
from saereport.run.table import F32, I32, LATENT, listed
from saereport.site import render
from saereport.util.errors import SaereportError
from tests.synthetic import Shape, write_run
from tests.synthetic_circuits import prompts as circuits
from tests.synthetic_examples import blind_extra, examples_extra
from tests.synthetic_steering import steering

SHAPE = Shape(d_sae=48, n_chosen=8, n_sequences=40, n_vocabulary=900, n_saes=3, n_top=3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("cutting") / "run"
    blind = blind_extra(
        lambda shown: [(slug, int(own[k]), True) for slug, own in shown.items() for k in (0, 1)]
    )
    write_run(folder, SHAPE, circuits, examples_extra(), blind)
    return open_run(folder)


def rows(run: Run, name: str, slug: str | None = None) -> list[dict[str, Any]]:
    return list(run.table(name, slug).to_pylist()) if run.has(name, slug) else []


def two_alive(run: Run) -> tuple[str, list[int]]:
    slug = run.info.saes[1].slug
    return slug, list(run.latents(slug)[3:5])


def test_rows_of_the_chosen_latents_stay_and_no_others(run: Run, tmp_path: Path) -> None:
    slug, wanted = two_alive(run)
    made = subset(run, tmp_path / "cut", latents={slug: wanted}, prompts=[], title=None)
    made.verify()
    assert [sae.slug for sae in made.info.saes] == [slug]
    assert made.info.sae(slug).n_chosen == 2
    assert made.info.sae(slug).selection == ",".join(map(str, wanted))
    assert made.info.title == run.info.title
    assert made.names(slug) == run.names(slug)
    for name in run.names(slug):
        before = rows(run, name, slug)
        expected = [r for r in before if TABLES[name].about == "sae" or r["latent"] in wanted]
        assert rows(made, name, slug) == expected, name
        assert expected or not before, name
    assert "prompts" not in made.names()


def test_only_sequences_and_tokens_in_use_stay(run: Run, tmp_path: Path) -> None:
    slug, wanted = two_alive(run)
    made = subset(run, tmp_path / "cut", latents={slug: wanted[:1]}, prompts=[], title="One")
    used = {
        r["sequence"]
        for name in ("examples", "example_heads", "example_components")
        for r in rows(made, name, slug)
    }
    kept = rows(made, "sequences")
    assert {r["sequence"] for r in kept} == used
    tokens = {token for r in kept for token in r["tokens"]}
    for name in made.names(slug):
        for row in rows(made, name, slug):
            tokens |= {row["token"]} if "token" in row else set()
            for column in ("top_tokens", "bottom_tokens"):
                tokens |= set(row.get(column, ()))
    vocabulary = rows(run, "vocabulary")
    expected = [r for r in vocabulary if r["token"] in tokens or r["special"]]
    assert rows(made, "vocabulary") == expected
    assert len(expected) < len(vocabulary)


def test_a_prompt_keeps_its_rows_and_the_saes_that_it_is_about(run: Run, tmp_path: Path) -> None:
    part = taking_part(run, ["prompt-0"])
    made = subset(run, tmp_path / "cut", latents=part, prompts=["prompt-0"], title=None)
    for name in run.names():
        before = rows(run, name)
        if "prompt" in TABLES[name].names:
            expected = [r for r in before if r["prompt"] == 0]
            if name == "prompt_activations":
                expected = [r for r in expected if r["latent"] in part.get(r["sae"], [])]
            assert rows(made, name) == expected, name
    named = {r[end] for r in rows(made, "gradients") for end in ("early", "late")} - {""}
    assert named <= {sae.slug for sae in made.info.saes}
    assert "pair_means" not in made.names()
    tokens = {token for r in rows(made, "prompts") for token in r["tokens"]}
    assert tokens <= {r["token"] for r in rows(made, "vocabulary")}


def test_those_who_take_part_are_shown_and_are_ends_of_something(run: Run) -> None:
    part = taking_part(run, ["prompt-1"])
    assert part
    ends = {
        (r[end], r[end + "_latent"])
        for r in rows(run, "gradients")
        if r["prompt"] == 1
        for end in ("early", "late")
    }
    for name in ("graph_nodes", "head_attributions", "components", "influences"):
        ends |= {(r["sae"], r["latent"]) for r in rows(run, name) if r["prompt"] == 1}
    ends |= {(r["sae"], r["latent"]) for r in rows(run, "induction_latents") if r["prompt"] == 1}
    ends |= {(r["early"], r["early_latent"]) for r in rows(run, "influences") if r["prompt"] == 1}
    shown = {(sae.slug, i) for sae in run.info.saes for i in run.latents(sae.slug)}
    assert {(slug, i) for slug, own in part.items() for i in own} == ends & shown


def test_blind_latents_stay_blind_and_what_is_not_shown_is_sealed(run: Run, tmp_path: Path) -> None:
    slug = run.info.saes[0].slug
    shown = run.latents(slug)
    made = subset(run, tmp_path / "cut", latents={slug: shown[1:3]}, prompts=None, title=None)
    before = rows(run, "blind_latents")
    assert rows(made, "blind_latents") == [
        {**r, "reveal": r["sae"] == slug and r["latent"] == shown[1]} for r in before
    ]


def test_the_fingerprint_follows_from_the_run_and_the_cut(run: Run, tmp_path: Path) -> None:
    slug, wanted = two_alive(run)

    def made(name: str, latents: list[int], prompts: list[str] | None) -> Run:
        return subset(run, tmp_path / name, latents={slug: latents}, prompts=prompts, title=None)

    a, b = made("a", wanted, []), made("b", wanted[::-1], [])
    others = [made("c", wanted[:1], []), made("d", wanted, ["prompt-1"]), made("e", wanted, None)]
    assert (a.path / "run.json").read_bytes() == (b.path / "run.json").read_bytes()
    prints = {run.info.fingerprint, a.info.fingerprint, *(o.info.fingerprint for o in others)}
    assert len(prints) == 5


def test_cutting_twice_is_cutting_once(run: Run, tmp_path: Path) -> None:
    slug, wanted = two_alive(run)
    some = subset(run, tmp_path / "a", latents={slug: wanted}, prompts=["prompt-0"], title=None)
    twice = subset(some, tmp_path / "b", latents={slug: wanted[:1]}, prompts=[], title=None)
    once = subset(run, tmp_path / "c", latents={slug: wanted[:1]}, prompts=[], title=None)
    assert twice.info.files == once.info.files


@pytest.mark.parametrize(
    ("latents", "prompts", "message"),
    [
        ({}, [], "Nothing would be left"),
        ({"nosuch": [1]}, [], "no SAE 'nosuch'"),
        ({None: [47_000]}, [], "does not show latent 47000"),
        ({}, ["nosuch"], "no prompt 'nosuch'"),
    ],
)
def test_what_is_not_there(
    run: Run, tmp_path: Path, latents: Any, prompts: list[str], message: str
) -> None:
    latents = {slug or run.info.saes[0].slug: own for slug, own in latents.items()}
    with pytest.raises(SaereportError, match=message):
        subset(run, tmp_path / "cut", latents=latents, prompts=prompts, title=None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kept", "slugs"), [({}, ["prompt-2"]), ({0: 1}, None), ({2: 8}, ["prompt-0", "prompt-1"])]
)
def test_every_cut_can_be_rendered(
    run: Run, tmp_path: Path, kept: dict[int, int], slugs: list[str] | None
) -> None:
    saes = run.info.saes
    latents = {saes[k].slug: run.latents(saes[k].slug)[:n] for k, n in kept.items()}
    made = subset(run, tmp_path / "cut", latents=latents, prompts=slugs, title="A cut")
    render(made.path, tmp_path / "report")
    pages = {path.name for path in (tmp_path / "report" / "circuits").glob("prompt-*.html")}
    assert pages == {f"{slug}.html" for slug in slugs or [f"prompt-{k}" for k in range(3)]}


def test_near_a_direction_are_no_latents_of_saes_that_are_left_out(tmp_path: Path) -> None:
    write_run(tmp_path / "run", SHAPE, steering)
    whole = open_run(tmp_path / "run")
    near = rows(whole, "direction_latents")
    (slug,) = {row["sae"] for row in near}
    others = {sae.slug: list(whole.latents(sae.slug)) for sae in whole.info.saes}
    kept = subset(
        whole, tmp_path / "kept", latents={slug: others.pop(slug)}, prompts=None, title=None
    )
    assert rows(kept, "direction_latents") == near
    made = subset(whole, tmp_path / "cut", latents=others, prompts=None, title="Without it")
    assert rows(made, "direction_latents") == []
    assert rows(made, "steering_directions") == rows(whole, "steering_directions")
    render(made.path, tmp_path / "report")


NAMING = Table(
    name="naming",
    scope="sae",
    key=("latent",),
    columns=(
        LATENT,
        Column("prompts", listed(I32), Prompt(or_none=True)),
        Column("cosines", listed(F32), Cosine(), same_length_as="prompts"),
        Column("twice", listed(F32), Cosine(), same_length_as="cosines"),
        Column("others", listed(I32), Prompt(), never_empty=True),
        Column("pair", listed(I32), Prompt(), lengths=(2,)),
        Column("weights", listed(F32), Cosine(), same_length_as="pair"),
        Column("apart", listed(I32), Count()),
    ),
    title="Prompts like others",
    definition="A plug-in's.",
    about="latent",
    plugin="a-plugin",
)


def naming(writer: RunWriter, shape: Shape, shown: dict[str, Any]) -> None:
    """Write `NAMING` for every SAE."""
    rng = np.random.default_rng(5)

    def drawn(n: int, low: int) -> list[int]:
        return list(rng.integers(low, 3, n))

    for slug, chosen in shown.items():
        lengths = rng.integers(0, 5, len(chosen))
        real = [rng.random(n) for n in lengths]
        columns = {
            "latent": chosen,
            "prompts": [drawn(n, -1) for n in lengths],
            "cosines": real,
            "twice": real,
            "others": [drawn(3, 0) for _ in chosen],
            "pair": [drawn(2, 0) if k % 2 else [0, 0] for k in range(len(chosen))],
            "weights": [[0.5, 0.25] for _ in chosen],
            "apart": [[7] * n for n in lengths],
        }
        writer.write(NAMING, columns, slug=slug)


@pytest.mark.parametrize("registered", [True, False])
@pytest.mark.parametrize("prompts", [["prompt-0"], ["prompt-0", "prompt-1"], [], None])
def test_lists_name_no_prompt_that_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prompts: list[str] | None, registered: bool
) -> None:
    """As seen: the cut of a plug-in's table could not be read, since it named prompts still.

    An entry goes with those of the lists beside it; a row whose list must keep its length goes, and
    so does each where the plug-in is not there to say which lists belong together.
    """
    if registered:
        monkeypatch.setitem(registry._REGISTERED, "naming", NAMING)
    write_run(tmp_path / "run", SHAPE, circuits, naming)
    run = open_run(tmp_path / "run")
    slug = run.info.saes[0].slug
    wanted = list(run.latents(slug))
    numbered = {row["slug"]: row["prompt"] for row in rows(run, "prompts")}
    kept = set(numbered.values()) if prompts is None else {numbered[name] for name in prompts}
    cut = subset(run, tmp_path / "cut", latents={slug: wanted}, prompts=prompts, title=None)
    expected = []
    for row in rows(run, "naming", slug):
        stays = [k for k, prompt in enumerate(row["prompts"]) if prompt in kept | {-1}]
        others = [prompt for prompt in row["others"] if prompt in kept]
        whole = len(stays) == len(row["prompts"]) and others == row["others"]
        if others and set(row["pair"]) <= kept and (registered or whole):
            same = {n: [row[n][k] for k in stays] for n in ("prompts", "cosines", "twice")}
            expected.append({**row, **same, "others": others})
    assert rows(cut, "naming", slug) == expected
    assert len(expected) == len(wanted) if prompts is None else len(expected) < len(wanted)
    assert bool(expected) is (prompts != []) or not registered
    cut.verify()
