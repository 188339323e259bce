"""The rooms of CONTRIBUTING.md's map, enforced."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "saereport"
HEAVY = {"torch", "transformer_lens", "sae_lens", "transformers", "datasets", "psutil"}
ROOMS = {
    "run": set(),
    "site": {"diff", "run"},
    "diff": {"run"},
    "exchange": {"run"},
    "publish": {"run", "site"},
    "measure": set(),
    "sources": set(),
    "circuits": {"measure", "run", "sources"},
}
"""Which other rooms a room may import; the modules in `SHARED` are open to all."""
SHARED = {
    "saereport",
    "saereport.errors",
    "saereport.limits",
    "saereport.names",
    "saereport.priority",
    "saereport.progress",
    "saereport.quantities",
    "saereport.selection",
    "saereport.visible",
    "saereport.warned",
}
WITHOUT_TORCH = [
    "saereport",
    "saereport.pipeline.checkpoint",
    "saereport.cli",
    "saereport.commands",
    "saereport.config",
    "saereport.diff",
    "saereport.door",
    "saereport.errors",
    "saereport.exchange",
    "saereport.extracting",
    "saereport.measure",
    "saereport.notebook",
    "saereport.pipeline.checkpoint",
    "saereport.priority",
    "saereport.progress",
    "saereport.publish",
    "saereport.reports",
    "saereport.run",
    "saereport.selection",
    "saereport.site",
    "saereport.warned",
]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_only_the_rooms_it_may(room: str) -> None:
    files = sorted((PACKAGE / room).rglob("*.py"))
    assert files
    for path in files:
        for name in imports(path):
            if not name.startswith("saereport") or name in SHARED:
                continue
            other = name.split(".")[1]
            assert other == room or other in ROOMS[room], f"{path.name} imports {name}"


@pytest.mark.parametrize("room", ["diff", "exchange", "publish", "run", "site"])
def test_these_rooms_never_import_what_collecting_needs(room: str) -> None:
    for path in sorted((PACKAGE / room).rglob("*.py")):
        tops = {name.split(".")[0] for name in imports(path)}
        assert not tops & HEAVY, f"{path.name} imports {tops & HEAVY}"


def test_what_renders_leaves_the_heavy_libraries_alone() -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {WITHOUT_TORCH!r}: importlib.import_module(name)\n"
        f"heavy = sorted(set(sys.modules) & {HEAVY!r})\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_module_is_a_long_one() -> None:
    for path in PACKAGE.rglob("*.py"):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= 500, f"{path.name} has {lines} lines: is it one room with one job?"
