"""Gates as JUnit XML, which continuous integration shows: one test case a gate.

There is no clock in it and no host, so equal outcomes give equal bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from saereport.diff.gates import Outcome
from saereport.util.visible import visible_text


def junit(outcomes: Sequence[Outcome], suite: str) -> bytes:
    """The outcomes as a file.

    A failed gate of severity error is a failure, a warning is in `system-out` of its passed test,
    and a gate that was not judged is skipped.

    Args:
        outcomes: In the order of the test cases.
        suite: Name of the test suite.
    """
    counts = {
        "tests": len(outcomes),
        "failures": sum(outcome.stops for outcome in outcomes),
        "errors": 0,
        "skipped": sum(_skipped(outcome) for outcome in outcomes),
    }
    about = {name: str(count) for name, count in counts.items()}
    root = ElementTree.Element("testsuites", {"name": "saereport", **about, "time": "0"})
    inside = ElementTree.SubElement(root, "testsuite", {"name": _text(suite), **about, "time": "0"})
    for outcome in outcomes:
        _case(inside, outcome)
    ElementTree.indent(root)
    data: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return data + b"\n"


def _case(suite: ElementTree.Element, outcome: Outcome) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        {"classname": f"saereport.{outcome.metric}", "name": _text(outcome.gate), "time": "0"},
    )
    message = _text(outcome.message)
    if outcome.stops:
        failure = ElementTree.SubElement(
            case, "failure", {"type": outcome.state, "message": message}
        )
        failure.text = "\n".join(_text(str(finding)) for finding in outcome.worst) or message
    elif _skipped(outcome):
        ElementTree.SubElement(case, "skipped", {"message": message})
    elif outcome.failed:
        ElementTree.SubElement(case, "system-out").text = f"warning: {message}"
    else:
        ElementTree.SubElement(case, "system-out").text = message


def _skipped(outcome: Outcome) -> bool:
    return outcome.state in ("skipped", "off")


def _text(text: str) -> str:
    # XML has no form at all for most control codes; made visible, none is left.
    return visible_text(text)
