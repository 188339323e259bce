from dataclasses import replace

import numpy as np
import pytest

from saereport.diff.conditions import parse
from saereport.diff.gates import Gate, Outcome, judge, judge_alone
from saereport.diff.measured import Measured
from saereport.diff.metrics import METRICS
from saereport.diff.model import Difference
from saereport.util.errors import UsageError
from tests.diff.differences import NAN, change, difference, measured, prompt, sae, unchanged


def outcome(text: str, of: Difference | None = None, **limits: object) -> Outcome:
    gate = Gate(parse(text), **limits).checked()  # type: ignore[arg-type]
    return judge([gate], of or difference(), measured())[0]


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        ("saes.added > 0", True),
        ("saes.removed > 0", False),
        ("facts.changed > 0", True),
        ("facts.changed > 1", False),
        ("latents.removed > 0", True),
        ("latents.changed >= 2", True),
        ("latents.changed >= 3", False),
        ("density.jsd > 0.1", True),
        ("density.jsd > 0.2", False),
        ("l0.change > 3.9", True),
        ("l0.change > 4", False),
        ("l0.size > 0.09", True),
        ("l0.before != 40", False),
        ("l0 > 40", True),
        ("density > 0.1", True),
        ("density.change > 0.0029", True),
        ("density.change > 0.0031", False),
        ("density.before > 0.001", False),
        ("histogram.jsd > 0.4", True),
        ("histogram.jsd > 0.5", False),
        ("answer.probability < 0.45", True),
        ("answer.probability.change < -0.2", False),
        ("edges.sign > 0", True),
        ("edge > 0.2", True),
        ("edge > 0.3", False),
    ],
)
def test_a_gate_fails_when_its_condition_is_met(text: str, failed: bool) -> None:
    found = outcome(text)
    assert found.failed == failed
    assert found.state == ("failed" if failed else "passed")
    assert found.stops == failed
    assert found.gate == text


def test_the_worst_latents_are_named_with_their_labels() -> None:
    found = outcome("density.size > 0.5")
    assert (found.count, found.looked_at) == (1, 4)
    assert found.message == "1 of 4 latents: resid-l10/10 (words for if) = 2"
    assert found.worst[0].latent == 10


def test_counts_name_what_was_counted() -> None:
    assert outcome("latents.changed > 0").message == "resid-l10 = 2: 10 (words for if), 20"
    many = replace(sae(), removed=tuple(range(100, 150)), changed=tuple(map(change, range(8))))
    of = replace(difference(), saes=(many,))
    assert outcome("latents.removed > 0", of).message == (
        "resid-l10 = 50: 100, 101, 102, 103, 104, …"
    )
    assert outcome("latents.changed > 0", of).message == "resid-l10 = 8: 0, 1, 2, 3, 4, …"
    assert outcome("latents.removed < 1", replace(of, saes=(sae(),))).state == "passed"


def test_edges_are_named() -> None:
    assert outcome("edge > 0.2").message == (
        '1 of 2 changed edges: capital = 0.3: resid-l10/3 @2 " iff" -> resid-l12/4'
    )


def test_only_the_worst_few_are_named_and_the_rest_counted() -> None:
    values = np.array([0.5, 0.9, 0.9, 0.1, 0.8, 0.7, 0.6, 0.55])
    after = Measured({}, {"s": (np.arange(8), {"density": values})}, {})
    found = judge([Gate(parse("density > 0.2"))], difference(), after)[0]
    assert [one.latent for one in found.worst] == [1, 2, 4, 5, 6]
    assert found.message.startswith("7 of 8 latents: s/1 = 0.9; s/2 = 0.9; s/4 = 0.8")
    assert found.message.endswith("and 2 more")
    low = judge([Gate(parse("density < 0.6"))], difference(), after)[0]
    assert [one.latent for one in low.worst] == [3, 0, 7]


def test_severity_decides_what_stops() -> None:
    warned = outcome("latents.removed > 0", severity="warn")
    assert warned.failed
    assert not warned.stops
    off = outcome("latents.removed > 0", severity="off")
    assert (off.failed, off.state) == (False, "off")


def test_a_message_is_said_with_what_was_found() -> None:
    found = outcome("latents.removed > 0", message="Keep the\nlatents \x1b[31m")
    assert found.message == "Keep the latents <0x1B>[31m (resid-l10 = 1: 30)"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("kl_spliced > 0.1", "not measured: resid-l10; mlp-l3"),
        ("kl_spliced.change > 0.1", "not measured: resid-l10"),
        ("neighbours.rbo > 0.1", "not measured: resid-l10 (the SAEs differ)"),
        ("graph.replacement < 0.5", "not measured: capital"),
        ("max.change > 1", "not measured: resid-l10"),
        ("next.rbo > 0.1", "not measured: capital"),
    ],
)
@pytest.mark.parametrize("severity", ["warn", "error"])
def test_what_was_not_measured_never_passes_by_itself(
    text: str, reason: str, severity: str
) -> None:
    found = outcome(text, severity=severity)
    assert found.message == reason
    assert (found.failed, found.severity, found.state) == (True, "error", "missing")
    lenient = outcome(text, severity=severity, if_missing="warn")
    assert (lenient.failed, lenient.severity) == (True, "warn")
    silent = outcome(text, severity=severity, if_missing="pass")
    assert (silent.failed, silent.message) == (False, reason)


def test_every_metric_is_missing_in_an_empty_comparison() -> None:
    empty = replace(difference(), saes=(), prompts=())
    nothing = Measured({}, {}, {})
    for name, metric in METRICS.items():
        found = judge([Gate(parse(f"{name} > 1e9"))], empty, nothing)[0]
        assert found.stops == (metric.scope != "report"), name


def test_a_value_that_is_not_a_number_is_missing() -> None:
    after = Measured({"a": {"l0": NAN}}, {"a": (np.array([3]), {"max": np.array([NAN])})}, {})
    for text in ("l0 > 1", "l0 < 1", "l0 != 1", "max > 1", "max < 1"):
        found = judge([Gate(parse(text))], difference(), after)[0]
        assert (found.stops, found.state) == (True, "missing"), text


def test_some_latents_without_a_number_warn_unless_the_gate_says_more() -> None:
    after = Measured({}, {"a": (np.array([3, 4]), {"max": np.array([NAN, 2.0])})}, {})

    def judged(**limits: object) -> Outcome:
        gate = Gate(parse("max > 5"), **limits)  # type: ignore[arg-type]
        return judge([gate], difference(), after)[0]

    assert judged().message == "not measured: 1 of 2 latents of a (3)"
    assert (judged().failed, judged().severity) == (True, "warn")
    assert judged(if_missing="fail").stops
    assert judged(if_missing="pass").failed is False
    assert judged(latents=(3,)).stops
    assert judged(latents=(4,)).state == "passed"
    assert judged(latents=(4, 5)).message == "not measured: 1 of 2 latents of a (5)"
    assert judged(latents=(4, 5)).stops


def test_a_warning_that_cannot_be_judged_in_full_is_an_error_too() -> None:
    after = Measured({"a": {"l0": 9.0}, "b": {}}, {}, {})
    found = judge([Gate(parse("l0 > 1"), "warn")], difference(), after)[0]
    assert (found.state, found.severity) == ("failed", "error")
    assert found.message == "a = 9; not measured: b"


def test_a_gate_can_look_at_some_saes_prompts_and_latents() -> None:
    assert outcome("l0 > 40", saes=("mlp-l3",)).state == "passed"
    assert outcome("l0 > 40", saes=("resid-l10",)).gate == "l0 > 40 (resid-l10)"
    assert outcome("l0 > 40", saes=("resid-l10",)).failed
    assert outcome("density.size > 1", latents=(0, 20)).state == "passed"
    assert outcome("density.size > 1", latents=(10,)).failed
    assert outcome("edge > 0.2", prompts=("capital",)).failed
    lost = outcome("l0 > 40", saes=("resid-l1",))
    assert lost.stops
    assert lost.message == (
        "not measured: resid-l1 (there is no such SAE. Did you mean 'resid-l10'?)"
    )


def test_an_sae_is_found_by_its_name_before() -> None:
    renamed = replace(difference(), saes=(replace(sae(), before="old-name"),))
    assert outcome("density.jsd > 0.1", renamed, saes=("old-name",)).failed
    assert outcome("density.size > 1", renamed, saes=("old-name",)).failed


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("saes.added > 0", {"saes": ("a",)}),
        ("l0 > 0", {"latents": (1,)}),
        ("l0 > 0", {"prompts": ("a",)}),
        ("edge > 0", {"saes": ("a",)}),
    ],
)
def test_limits_that_mean_nothing_are_refused(text: str, limits: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="cannot be limited to"):
        outcome(text, **limits)


def test_latents_and_edges_that_went_with_the_whole_are_not_forgotten() -> None:
    gone = replace(unchanged(), saes_removed=("old",), prompts=(prompt(),), prompts_removed=("p",))
    for text, where in (
        ("latents.removed > 0", "old (the SAE is gone)"),
        ("edges.lost > 9", "p (the prompt is gone)"),
    ):
        found = outcome(text, gone)
        assert found.stops
        assert found.message.startswith("not measured: ") or "; not measured: " in found.message
        assert where in found.message


def test_one_report_alone_is_judged_by_its_own_values() -> None:
    gates = [Gate(parse(t)) for t in ("l0 > 40", "density.jsd > 0.1", "l0.change > 1")]
    found = judge_alone(gates, measured())
    assert [one.state for one in found] == ["failed", "skipped", "skipped"]
    assert [one.failed for one in found] == [True, False, False]
    assert found[0] == judge(gates[:1], difference(), measured())[0]


def test_nothing_changed_passes() -> None:
    for text in ("latents.changed > 0", "latents.removed > 0", "saes.added > 0", "l0.size > 0.02"):
        found = outcome(text, unchanged())
        assert (found.failed, found.state) == (False, "passed")
