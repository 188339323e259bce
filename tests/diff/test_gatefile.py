from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from saereport.diff.conditions import parse
from saereport.diff.gatefile import DEEPEST, LARGEST, GateFile, parse_gates, read_gates
from saereport.diff.gates import Gate
from saereport.util.errors import SaereportError, UsageError
from tests.diff.test_conditions import CONDITIONS

FULL = """
# comment
tolerances:
  density: 0.2
  l0: 0
gates:
  - latents.removed > 0
  - when: density.jsd > 0.1
    severity: warn
    saes: [resid-l10]
    message: Densities moved.
  - when: density > 0.5
    severity: off
    latents: [3, 14]
    if_missing: pass
  - {when: edge > 0.2, prompts: [capital]}
"""


def test_tolerances_are_written_as_any_number() -> None:
    text = "tolerances: {density: 1e-3, l0: .5, max: 2}\ngates: [l0 > 1]"
    assert parse_gates(text, "g").tolerances == {"density": 0.001, "l0": 0.5, "max": 2}


def test_a_file_says_gates_and_tolerances(tmp_path: Path) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text(FULL)
    assert read_gates(path) == GateFile(
        (
            Gate(parse("latents.removed > 0")),
            Gate(parse("density.jsd > 0.1"), "warn", ("resid-l10",), message="Densities moved."),
            Gate(parse("density > 0.5"), "off", latents=(3, 14), if_missing="pass"),
            Gate(parse("edge > 0.2"), prompts=("capital",)),
        ),
        {"density": 0.2, "l0": 0.0},
    )


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            Gate,
            CONDITIONS,
            st.sampled_from(["off", "warn", "error"]),
            message=st.text(max_size=20),
            if_missing=st.sampled_from(["pass", "warn", "fail"]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_gates_survive_yaml(gates: list[Gate]) -> None:
    entries = [
        {
            "when": str(gate.condition),
            "severity": gate.severity,
            "message": gate.message,
            "if_missing": gate.if_missing,
        }
        for gate in gates
    ]
    assert parse_gates(yaml.safe_dump({"gates": entries}), "f").gates == tuple(gates)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'f' holds no gates"),
        ("- a > 1", "'f' holds no gates"),
        ("gates: []", "'f' holds no gates"),
        ("gates:\n - l0 > 1\n - densty > 1", "'f', line 3: There is no metric 'densty'. Did you"),
        ("gates:\n - l0 >", "'f', line 2: 'l0 >' is not a gate"),
        ("gates:\n - when: l0 > 1\n   severty: warn", "line 3: 'gates.0.severty' is not a setting"),
        ("gates:\n - when: l0 > 1\n   severty: warn", "Did you mean 'severity'"),
        ("gats:\n - l0 > 1", "line 1: 'gats' is not a setting. Did you mean 'gates'"),
        ("gates:\n - when: l0 > 1\n   severity: loud", "line 3: 'gates.0.severity' cannot be"),
        ("gates:\n - severity: warn", "line 2: 'gates.0.when' is missing"),
        ("gates:\n - when: l0 > 1\n   saes: x", "line 3: 'gates.0.saes' cannot be 'x'"),
        ("gates:\n - when: l0 > 1\n   saes: [x, 1]", "'gates.0.saes.1' cannot be 1"),
        ("gates:\n - when: max > 1\n   latents: [-1]", "'gates.0.latents.0' cannot be -1"),
        ("gates:\n - when: l0 > 1\n   latents: [1]", "line 2: The gate 'l0 > 1' cannot be limited"),
        ("gates: {a: 1}", "'gates' cannot be"),
        ("gates:\n - 5", "line 2: 'gates.0' cannot be 5"),
        ("tolerances:\n  l0: 1\n  densty: 1", "line 3: There is no metric 'densty'"),
        ("tolerances:\n  l0: -1", "line 2: The tolerance of 'l0' cannot be -1"),
        ("tolerances:\n  l0: .nan", "line 2: The tolerance of 'l0' cannot be nan"),
        ("tolerances:\n  l0: .inf", "cannot be inf"),
        ("tolerances:\n  l0: true", "a tolerance is a number"),
        ("tolerances:\n  1: 1", "'tolerances.1' cannot be 1"),
        ("gates:\n - l0 > 1\ngates:\n - l0 > 2", "line 3: 'gates' is said twice"),
        ("gates:\n - when: l0 > 1\n   when: l0 > 2", "line 3: 'when' is said twice"),
        ("gates: &a [l0 > 1]\nb: *a", "line 2: it has an alias"),
        ("gates: [l0 > 1", "is not YAML"),
        ("gates:\n\t- l0 > 1", "'f', line 2 is not YAML"),
        ("gates: !!python/object/apply:os.system ['true']", "is not YAML"),
        ("a\0b", "is not YAML"),
        ("gates: [{when: l0 > 1, severity: !!bool foo}]", "is not YAML"),
        ("gates: [!!timestamp foo]", "is not YAML"),
        ('gates: !!int ""', "is not YAML"),
        ("gates: " + "[" * (DEEPEST + 1), "deep in each other"),
        ("gates: " + "[" * 100_000, "deep in each other"),
        ("gates:\n - l0 > 1\n---\ngates:\n - l0 > 2", "is not YAML"),
    ],
)
def test_what_means_nothing_is_said_with_its_line(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_gates(text, "f")
    assert message in str(error.value)
    assert len(str(error.value)) < 400


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (LARGEST + 1))
    with pytest.raises(UsageError, match="too large"):
        read_gates(large)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"\xe9")
    with pytest.raises(SaereportError, match="UTF-8"):
        read_gates(latin)
    with pytest.raises(SaereportError, match="no gates file"):
        read_gates(tmp_path / "none.yaml")
    with pytest.raises(SaereportError, match="cannot be read"):
        read_gates(tmp_path)


@settings(deadline=None)
@given(
    st.text(max_size=80)
    | st.lists(
        st.sampled_from([*"[]{}:,-&*!|>'\"#%@` \n", "gates", "when", "l0 > 1", "  ", "? ", "<<"]),
        max_size=30,
    ).map("".join)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["gates", "tolerances", "when", "saes"]), inner)
        ),
        max_leaves=8,
    ).map(lambda value: yaml.safe_dump(value))
)
def test_any_text_gives_gates_or_a_usage_error(text: str) -> None:
    try:
        found = parse_gates(text, "f")
    except UsageError:
        return
    assert found.gates or found.tolerances
