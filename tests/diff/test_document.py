import json
import math
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from saereport.diff.conditions import parse
from saereport.diff.document import check_json, diff_json, schema, schema_json
from saereport.diff.gates import Gate, judge, judge_alone
from saereport.diff.metrics import METRICS
from saereport.diff.model import Difference
from tests.diff.differences import difference, measured, unchanged
from tests.synthetic import HOSTILE, Shape, write_run

PUBLISHED = Path(__file__).parents[2] / "docs" / "diff.schema.json"
GATES = [Gate(parse(f"{name} > 0.3")) for name in METRICS]
HOSTILE_TEXT = "".join(text.decode("utf-8", "surrogateescape") for text in HOSTILE)


def test_the_published_schema_is_that_of_the_models() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == schema_json()
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("of", [difference(), unchanged(), difference(HOSTILE_TEXT)])
def test_what_is_written_follows_the_schema(of: Difference) -> None:
    made = "".join(diff_json(of, judge(GATES, of, measured())))
    jsonschema.validate(json.loads(made), json.loads(PUBLISHED.read_text(encoding="utf-8")))
    assert made.encode("utf-8").decode() == "".join(diff_json(of, judge(GATES, of, measured())))


def test_a_check_follows_the_schema_too(tmp_path: Path) -> None:
    info = write_run(tmp_path / "run", Shape(n_chosen=4))
    made = json.loads(check_json("run", info, judge_alone(GATES, measured())))
    jsonschema.validate(made, schema())
    assert made["kind"] == "check"
    assert made["report"]["fingerprint"] == info.fingerprint
    assert {gate["state"] for gate in made["gates"]} >= {"skipped", "passed", "failed"}


def test_a_document_that_says_more_or_less_does_not_follow_it() -> None:
    made = json.loads("".join(diff_json(difference())))
    for broken in ({**made, "more": 1}, {k: v for k, v in made.items() if k != "saes"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema())


def test_everything_of_a_comparison_is_there() -> None:
    of = difference()
    made = json.loads("".join(diff_json(of, judge(GATES[:1], of, measured()))))
    assert (made["kind"], made["version"], made["identical"]) == ("diff", 1, False)
    assert made["before"]["name"] == "main:site"
    assert made["saes_added"] == ["mlp-l3"]
    assert made["facts"][0] == {
        "topic": "configuration",
        "name": "examples.top",
        "before": "20",
        "after": "30",
        "matters": True,
    }
    sae, held = made["saes"][0], of.saes[0]
    assert [value["metric"] for value in sae["values"]] == [v.metric for v in held.values]
    assert [value["changed"] for value in sae["values"]] == [v.changed for v in held.values]
    assert [one["after"] for one in sae["changed"]] == [10, 20]
    assert sae["changed"][0]["items"][0]["after"] == ["␣iff", "␣new"]
    assert sae["removed"] == [30]
    assert sae["not_compared"] == {"neighbours.rbo": "the SAEs differ"}
    assert [edge["change"] for edge in made["prompts"][0]["edges"]] == ["sign", "sign"]
    assert made["gates"][0]["gate"] == "saes.added > 0.3"


@pytest.mark.parametrize("times", [0, 1, 128, 129, 400])
def test_thousands_of_changed_latents_are_written_a_few_at_a_time(times: int) -> None:
    of = difference(HOSTILE_TEXT)
    (sae,) = of.saes
    many = replace(of, saes=(replace(sae, changed=sae.changed * times), sae))
    pieces = list(diff_json(many))
    written = "".join(pieces)
    # Two a time, 256 in a piece.
    assert len(pieces) == sum(2 + bool(n) + -(-2 * n // 256) for n in (times, 1)) + 1
    made = json.loads(written)
    one = json.loads("".join(diff_json(of)))["saes"][0]
    assert made["saes"] == [{**one, "changed": one["changed"] * times}, one]
    assert written == json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def test_all_pairs_are_there_in_summary() -> None:
    of = difference()
    pairs = of.saes[0].pairs
    pairs.sizes["histogram.jsd"][3] = math.nan
    made = json.loads("".join(diff_json(of)))["saes"][0]["pairs"]
    assert made["count"] == 4
    found = {one["metric"]: one for one in made["sizes"]}
    assert found["density"]["comparable"] == 4
    assert found["density"]["quantiles"][-1] == 2
    held = np.sort(pairs.sizes["histogram.jsd"][:3])
    assert found["histogram.jsd"]["comparable"] == 3
    assert found["histogram.jsd"]["quantiles"][:2] == [held[0], held[1]]
    assert found["histogram.jsd"]["quantiles"][-1] == held[2]
