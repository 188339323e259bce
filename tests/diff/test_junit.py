from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from saereport.diff.conditions import parse
from saereport.diff.gates import Gate, GateFinding, Outcome, judge
from saereport.diff.junit import junit
from tests.diff.differences import difference, measured

TEXT = st.text(st.characters(codec=None), max_size=30)
OUTCOMES = st.builds(
    Outcome,
    gate=TEXT,
    severity=st.sampled_from(["warn", "error"]),
    failed=st.booleans(),
    message=TEXT,
    state=st.sampled_from(["passed", "failed", "missing"]),
    metric=st.sampled_from(["l0", "density.jsd"]),
    worst=st.lists(st.builds(GateFinding, TEXT, st.none(), TEXT, st.floats()), max_size=2).map(
        tuple
    ),
)


def test_one_case_a_gate_with_its_outcome() -> None:
    gates = [
        Gate(parse("latents.removed > 0"), message="Keep them"),
        Gate(parse("latents.changed > 0"), "warn"),
        Gate(parse("saes.removed > 0")),
        Gate(parse("l0 > 1"), "off"),
        Gate(parse("kl_spliced > 1")),
    ]
    outcomes = judge(gates, difference(), measured())
    root = ElementTree.fromstring(junit(outcomes, "saereport diff"))
    suite = root[0]
    for element in (root, suite):
        counts = {k: element.attrib[k] for k in ("tests", "failures", "errors", "skipped")}
        assert counts == {"tests": "5", "failures": "2", "errors": "0", "skipped": "1"}
    assert [case.attrib["name"] for case in suite] == [str(gate) for gate in gates]
    assert [case[0].tag for case in suite] == [
        "failure",
        "system-out",
        "system-out",
        "skipped",
        "failure",
    ]
    assert suite[0][0].attrib["message"] == "Keep them (resid-l10 = 1: 30)"
    assert suite[1][0].text == "warning: resid-l10 = 2: 10 (words for if), 20"
    assert suite[4][0].attrib["type"] == "missing"


def test_no_gates_are_an_empty_suite() -> None:
    assert ElementTree.fromstring(junit((), "s"))[0].attrib["tests"] == "0"


@settings(deadline=None)
@given(st.lists(OUTCOMES, max_size=4), TEXT)
def test_any_text_gives_valid_xml(outcomes: list[Outcome], suite: str) -> None:
    made = junit(outcomes, suite)
    root = ElementTree.fromstring(made)
    assert len(root[0]) == len(outcomes)
    assert len(root[0].findall("testcase/failure")) == sum(one.stops for one in outcomes)
    assert made == junit(outcomes, suite)
