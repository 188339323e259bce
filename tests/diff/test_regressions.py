"""Of every metric of evaluation and steering: a change within noise is none, a larger one is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saereport.diff import METRICS, Difference, compare
from saereport.diff.conditions import parse
from saereport.diff.gates import Gate, judge
from saereport.diff.measured import measured
from saereport.diff.metrics import WITHOUT_METRICS
from saereport.pipeline.stage import BUILT_IN, stages
from saereport.run import TABLES, Run, open_run
from saereport.run.lens import kinds_of
from tests.diff.edited import Columns, Edit, edited
from tests.diff.rewriting import rewritten
from tests.synthetic import Shape, write_run
from tests.synthetic_absorption import absorption
from tests.synthetic_bias import bias
from tests.synthetic_capability import capability_tests
from tests.synthetic_circuits import prompts
from tests.synthetic_geometry import geometry
from tests.synthetic_interventions import interventions
from tests.synthetic_lens import lenses
from tests.synthetic_meta import meta_saes
from tests.synthetic_probing import probes
from tests.synthetic_scores import output_scores
from tests.synthetic_steering import steering

SHAPE = Shape(n_saes=2, d_sae=1000, n_chosen=100, n_sequences=20, n_vocabulary=700, quick=True)
"""So many latents, and shown ones, that shares of them move by little."""
STAGES = (
    *("evaluation", "capability", "lens", "directions", "meta", "probing", "bias", "absorption"),
    *("steering", "output_scores", "interventions"),
)


@dataclass(frozen=True)
class Cells:
    """Numbers of a table that make a metric.

    Attributes:
        table: The table.
        column: Where they stand.
        where: What stands in other columns of their rows; of all rows where it is empty.
        of: The column of the whole that they are counts of.
        rises: Whether they are moved up, where down is not possible.
    """

    table: str
    column: str
    where: Mapping[str, Any] = field(default_factory=dict)
    of: str = ""
    rises: bool = False

    def moved(self, name: str, by: float) -> Edit:
        """The edit that moves the metric by so many of its tolerances."""
        metric, most = METRICS[name], TABLES[self.table].by_name[self.column].bounds[1]

        def edit(columns: Columns) -> Columns:
            values = list(columns[self.column])
            for row in range(len(values)):
                if any(columns[key][row] != value for key, value in self.where.items()):
                    continue
                size = by * metric.tolerance
                # Shares stay shares.
                falls = not self.rises and (self.of or values[row] >= size or values[row] < 0)
                step = -size if falls else size
                if not self.of and values[row] + step > most:
                    continue
                if self.of:
                    values[row] = round(values[row] + step * columns[self.of][row])
                elif metric.relative or "relative change" in metric.definition:
                    values[row] *= 1 + step
                else:
                    values[row] += step
            return {**columns, self.column: values}

        return edit


def turned(kind: str, column: str, value: float) -> Callable[[float], Edit]:
    """An edit after which so many tolerances fewer of all latents are of a kind."""

    def edit_by(by: float) -> Edit:
        def edit(columns: Columns) -> Columns:
            shape = (np.array(columns[name]) for name in ("std", "skewness", "kurtosis"))
            n = round(by * METRICS[f"lens.{kind}"].tolerance * len(columns["std"]))
            values = list(columns[column])
            for row in np.flatnonzero(kinds_of(*shape)[kind])[:n]:
                values[row] = value
            return {**columns, column: values}

        return edit

    return edit_by


def in_table(table: str, prefix: str, names: Mapping[str, tuple[str, Any]]) -> dict[str, Cells]:
    """Metrics by the column that they stand in and what tells their row."""
    return {f"{prefix}.{name}": Cells(table, *place) for name, place in names.items()}


OVER_ALL = {"task": "*", "pooling": "mean"}
FIGURES = {
    name: Cells("sae_metrics", "value", {"metric": name}, rises=name.startswith(("ce_a", "kl_s")))
    for name, metric in METRICS.items()
    if metric.stage == "evaluation"
}
CELLS: dict[str, Cells] = {
    **FIGURES,
    **{
        f"capability.{metric}{end}": Cells(
            "capability_sets", "value", {"set": one, "run": "spliced", "metric": metric}
        )
        for metric in ("accuracy", "logit_difference")
        for one, end in (("all", ""), ("capitals", ".capitals"), ("agreement", ".agreement"))
    },
    **in_table("lens_moments", "lens", {"std": ("std", {}), "kurtosis": ("kurtosis", {})}),
    "lens.enriched": Cells("token_set_counts", "n_raised", of="n_tested"),
    "geometry.match": Cells("dictionary_matches", "mean"),
    "geometry.unmatched": Cells("dictionary_matches", "matched"),
    "geometry.split": Cells("dictionary_matches", "n_split", of="n_latents", rises=True),
    "geometry.clustered": Cells("dictionary_clusters", "n_clustered", of="n_latents"),
    **in_table(
        "meta_saes", "meta", {"explained_variance": ("explained", {}), "active": ("active", {})}
    ),
    **in_table(
        "probing_scores",
        "probing",
        {
            "accuracy": ("accuracy", {**OVER_ALL, "probe": "latents"}),
            "auc": ("auc", {**OVER_ALL, "probe": "latents"}),
            "accuracy_activations": ("accuracy", {**OVER_ALL, "probe": "activations"}),
        },
    ),
    **in_table(
        "bias_scores",
        "bias",
        {
            "worst_before": ("worst", {"variant": "original"}),
            "worst_after": ("worst", {"variant": "judged_mean"}),
            "accuracy_after": ("accuracy", {"variant": "judged_mean"}),
            "worst_skyline": ("worst", {"variant": "skyline_mean"}),
        },
    ),
    **in_table(
        "absorption_letters",
        "absorption",
        {name: (name, {"letter": "*"}) for name in ("fraction", "full")},
    ),
    **in_table("output_scores", "output_score", {"percentile": ("percentile", {})}),
    "output_score": Cells("output_scores", "score"),
    **in_table(
        "steering_windows",
        "steering",
        {
            name: (name, {})
            for name in ("visible_from", "broken_from", "effect", "perplexity_ratio")
        },
    ),
    **{
        f"interventions.{name}": Cells("prompt_interventions", "logit_change", where)
        for name, where in (
            ("ablated", {"multiple": 0.0, "position": -1}),
            ("clamped", {"multiple": 2.0, "position": -1}),
        )
    },
}
SHARES = {
    "lens.prediction": turned("prediction", "skewness", 0.0),
    "lens.suppression": turned("suppression", "skewness", 0.0),
    "lens.partition": turned("partition", "kurtosis", 0.01),
}
MOVED = {*CELLS, *SHARES, "interventions.largest"}
"""The largest effect of an ablated latent moves with all of them."""


OWN = {
    name: stage
    for name, stage in stages().items()
    if f"{type(stage).__module__}:{type(stage).__name__}" in BUILT_IN
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with every table of evaluation and steering."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    of_the_first = [make(without=(1,)) for make in (lenses, probes, bias, absorption, meta_saes)]
    others = (capability_tests(), geometry, steering, output_scores, prompts, interventions)
    write_run(folder, SHAPE, *of_the_first, *others)
    return open_run(folder)


@pytest.fixture(scope="module")
def known(whole: Run) -> set[str]:
    return metrics_of(whole)


def metrics_of(run: Run) -> set[str]:
    """The metrics that a run has a value of."""
    found = measured(run)
    latents = (held for _, held in found.latents.values())
    return {
        name for held in (*found.saes.values(), *latents, *found.prompts.values()) for name in held
    }


def with_all_moved(run: Run, target: Path, by: float) -> Run:
    """Every metric of the first SAE, of latents and of prompts moved by so many tolerances."""
    slug = run.info.saes[0].slug
    edits: dict[tuple[str, str | None], Edit] = {}
    moves = [(cells.table, cells.moved(name, by)) for name, cells in CELLS.items()]
    moves += [("lens_moments", by_share(by)) for by_share in SHARES.values()]
    for table, move in moves:
        key = (table, slug if TABLES[table].scope == "sae" else None)
        edits[key] = after(edits.get(key, dict), move)
    edited(run.path, target, edits)
    return open_run(target)


def after(first: Edit, then: Edit) -> Edit:
    return lambda columns: then(first(columns))


def told(found: Difference) -> set[str]:
    """The metrics that a comparison says to have changed."""
    sae = found.saes[0]
    values = [*sae.values, *(v for change in sae.changed for v in change.values)]
    values += [value for prompt in found.prompts for value in prompt.values]
    return {value.metric for value in values if value.changed} - {"latents.changed"}


def test_no_metric_is_left_out_here(whole: Run) -> None:
    """Of capability tests the run has two of the built-in sets: the others are made alike.

    Of a handful of meta-latents the smallest share is more than noise (`test_meta`).
    """
    of_these = {name for name, metric in METRICS.items() if metric.stage in STAGES}
    others = (".indirect_objects", ".induction", "greater_than", "meta.dead_share")
    elsewhere = {name for name in of_these if name.endswith(others)}
    assert of_these - elsewhere == MOVED
    assert len(elsewhere) == 7


def test_a_change_within_tolerance_is_none(whole: Run, tmp_path: Path) -> None:
    found = compare(whole, with_all_moved(whole, tmp_path / "run", 0.6))
    assert told(found) == set()
    # They did move.
    moved = {value.metric for value in found.saes[0].values if value.size > 0}
    assert {name for name in MOVED if METRICS[name].scope == "sae"} <= moved


def test_a_regression_beyond_tolerance_is_told_and_fails_a_gate(whole: Run, tmp_path: Path) -> None:
    worse = with_all_moved(whole, tmp_path / "run", 1.4)
    found = compare(whole, worse)
    assert told(found) == MOVED
    slug = whole.info.saes[0].slug
    for name in told(found):
        metric = METRICS[name]
        gate = Gate(
            parse(f"{name}.size > {metric.tolerance}"),
            saes=() if metric.scope == "prompt" else (slug,),
            if_missing="pass",
        )
        (outcome,) = judge([gate], found, measured(worse))
        assert outcome.failed, name


def test_every_stage_has_a_metric_or_a_reason() -> None:
    having = {metric.stage for metric in METRICS.values() if metric.stage}
    assert len(OWN) == len(BUILT_IN)
    assert having | WITHOUT_METRICS.keys() == OWN.keys()
    assert not having & WITHOUT_METRICS.keys()


@pytest.mark.parametrize("stage", STAGES)
def test_metrics_are_taken_from_the_tables_of_their_stage(
    whole: Run, known: set[str], tmp_path: Path, stage: str
) -> None:
    """Without these tables there are no such metrics, and all others."""
    slugs = (None, *(sae.slug for sae in whole.info.saes))
    places = [
        (name, slug) for slug in slugs for name in whole.names(slug) if name in OWN[stage].yields
    ]
    cut = rewritten(whole, tmp_path / "cut", dict.fromkeys(places, lambda table: None))
    lost = known - metrics_of(cut)
    assert lost == {name for name in known if METRICS[name].stage == stage} != set()
