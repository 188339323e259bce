"""Gates in a YAML file.

    tolerances:
      density: 0.2
    gates:
      - latents.removed > 0
      - when: density.jsd > 0.1
        severity: warn
        saes: [resid-l10]
        message: Densities moved.

The file is read with limits, and every complaint names its line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from saereport.diff.conditions import NUMBER, parse, require_metric
from saereport.diff.gates import Gate, IfMissing, Severity
from saereport.util.errors import SaereportError, UsageError, did_you_mean
from saereport.util.visible import visible_text

LARGEST = 256 * 1024
"""Bytes of a gates file at most."""

DEEPEST = 8
"""Lists and mappings inside each other at most."""

_NAMES = 1000
_EXAMPLE = "'- density.jsd > 0.1' under 'gates:' is one."


@dataclass(frozen=True)
class GateFile:
    """What a gates file says.

    Attributes:
        gates: In the file's order.
        tolerances: Metric to tolerance, over the defaults.
    """

    gates: tuple[Gate, ...]
    tolerances: Mapping[str, float] = field(default_factory=dict)


def checked_tolerance(name: str, value: float) -> float:
    """The tolerance of a metric, if it can be one.

    Raises:
        UsageError: There is no such metric, or the value is negative or not finite.
    """
    require_metric(name)
    if not 0 <= value < float("inf"):
        raise UsageError(f"The tolerance of '{name}' cannot be {value:g}.", "It is 0 or more.")
    return value


def _severity(value: object) -> object:
    # YAML 1.1 reads a bare `off` as false.
    return "off" if value is False else value


def _number(value: object) -> object:
    # YAML 1.1 reads 1e-3, without a point, as a text.
    return float(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Entry(_Strict):
    when: str
    severity: Annotated[Severity, BeforeValidator(_severity)] = "error"
    saes: list[str] = Field([], max_length=_NAMES)
    latents: list[Annotated[int, Field(ge=0, lt=2**62)]] = Field([], max_length=_NAMES)
    prompts: list[str] = Field([], max_length=_NAMES)
    message: str = Field("", max_length=1000)
    if_missing: IfMissing | None = None

    def gate(self) -> Gate:
        return Gate(
            parse(self.when),
            self.severity,
            tuple(self.saes),
            tuple(self.latents),
            tuple(self.prompts),
            self.message,
            self.if_missing,
        ).checked()


def _entry(value: object) -> object:
    return {"when": value} if isinstance(value, str) else value


class _File(_Strict):
    gates: list[Annotated[_Entry, BeforeValidator(_entry)]] = []
    tolerances: dict[str, float] = {}

    @field_validator("tolerances", mode="before")
    @classmethod
    def _plain_numbers(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if any(isinstance(item, bool) for item in value.values()):
            raise ValueError("a tolerance is a number")
        return {name: _number(item) for name, item in value.items()}


def read_gates(path: Path) -> GateFile:
    """Read a gates file.

    Raises:
        SaereportError: There is no such file, or it cannot be read.
        UsageError: It is too large or too deep, not YAML, or says something without meaning; names
            the line.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
        text = data.decode("utf-8")
    except FileNotFoundError as error:
        raise SaereportError(f"There is no gates file '{path}'.") from error
    except OSError as error:
        raise SaereportError(f"'{path}' cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise SaereportError(f"'{path}' is not UTF-8 text.") from error
    if len(data) > LARGEST:
        raise UsageError(f"'{path}' is larger than {LARGEST // 1024} KiB, too large for gates.")
    return parse_gates(text, str(path))


def parse_gates(text: str, origin: str) -> GateFile:
    """The gates that the text of a gates file says.

    Args:
        text: YAML.
        origin: What the file is called, for messages.

    Raises:
        UsageError: As `read_gates`.
    """
    root = _tree(text, origin)
    if not isinstance(root, yaml.MappingNode):
        raise UsageError(f"'{origin}' holds no gates.", _EXAMPLE)
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, OverflowError, LookupError, AttributeError) as error:
        # The last two: what PyYAML raises where a tag does not fit its value, as in `!!bool so`.
        raise _not_yaml(error, origin) from error
    try:
        asked = _File.model_validate(values)
    except ValidationError as error:
        raise _explained(error, root, origin) from error
    if not asked.gates and not asked.tolerances:
        raise UsageError(f"'{origin}' holds no gates.", _EXAMPLE)
    gates = []
    for index, entry in enumerate(asked.gates):
        try:
            gates.append(entry.gate())
        except UsageError as error:
            line = _line(root, ("gates", index, "when"))
            raise UsageError(f"'{origin}', line {line}: {error.message}", error.hint) from error
    for name, value in asked.tolerances.items():
        try:
            checked_tolerance(name, value)
        except UsageError as error:
            line = _line(root, ("tolerances", name))
            raise UsageError(f"'{origin}', line {line}: {error.message}", error.hint) from error
    return GateFile(tuple(gates), dict(asked.tolerances))


def _tree(text: str, origin: str) -> yaml.Node | None:
    """The nodes of the text, with their lines, if it is neither deep nor self-referring."""
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line = event.start_mark.line + 1 if event.start_mark else 1
            if isinstance(event, yaml.AliasEvent):
                raise UsageError(
                    f"'{origin}', line {line}: it has an alias ('*name').",
                    "Write the value out.",
                )
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise UsageError(
                    f"'{origin}', line {line}: lists and mappings lie more "
                    f"than {DEEPEST} deep in each other."
                )
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise _not_yaml(error, origin) from error
    _require_single_keys(root, origin)
    return root


def _require_single_keys(node: yaml.Node | None, origin: str) -> None:
    """Raise if a mapping says a key twice: YAML would keep the last and drop gates unseen."""
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                raise UsageError(
                    f"'{origin}', line {key.start_mark.line + 1}: '{visible_text(name)}' is said "
                    "twice.",
                    "Put both into one.",
                )
            seen.add(name)
            children.append(value)
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    for child in children:
        _require_single_keys(child, origin)


def _not_yaml(error: Exception, origin: str) -> UsageError:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    where = f", line {mark.line + 1}" if mark else ""
    return UsageError(f"'{origin}'{where} is not YAML: {visible_text(problem)}.")


def _explained(error: ValidationError, root: yaml.Node, origin: str) -> UsageError:
    first = error.errors()[0]
    loc = tuple(part for part in first["loc"] if part != "[key]")
    where = f"'{origin}', line {_line(root, loc)}"
    name = visible_text(".".join(str(part) for part in loc)) or "the file"
    if first["type"] == "extra_forbidden":
        known = _Entry.model_fields if loc[0] == "gates" else _File.model_fields
        return UsageError(f"{where}: '{name}' is not a setting.", did_you_mean(str(loc[-1]), known))
    if first["type"] == "missing":
        return UsageError(f"{where}: '{name}' is missing.", "It says the condition of the gate.")
    reason = re.sub(r"^Value error, ", "", first["msg"])
    given = visible_text(repr(first["input"]))
    given = given if len(given) <= 60 else given[:60] + "…"
    return UsageError(f"{where}: '{name}' cannot be {given}: {reason[:1].lower()}{reason[1:]}.")


def _line(node: yaml.Node, loc: tuple[Any, ...]) -> int:
    """The line of what lies at `loc`, or of the nearest thing around it; counted from 1."""
    line: int = node.start_mark.line
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == part]
            if not found:
                break
            line, node = found[0][0].start_mark.line, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return line + 1
