"""The rooms of CONTRIBUTING.md's map, enforced."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "saereport"
STAGES = sorted(path.stem for path in (PACKAGE / "pipeline" / "stages").glob("[!_]*.py"))
HEAVY = {"torch", "transformer_lens", "sae_lens", "transformers", "datasets", "psutil"}
ROOMS = {
    "util": set(),
    "config": set(),
    "run": set(),
    "measure": set(),
    "sources": {"config"},
    "intervene": {"sources"},
    "evaluate": {"intervene", "measure", "run", "sources"},
    "circuits": {"intervene", "measure", "run", "sources"},
    "diff": {"run"},
    "site": {"diff", "run"},
    "exchange": {"run", "site"},
    "report": {"config", "run", "site"},
    "publish": {"run", "site"},
    "pipeline": {
        *("circuits", "config", "evaluate", "intervene", "measure", "report", "run", "site"),
        "sources",
    },
}
"""Which other rooms a room may import; `util` and `SHARED` are open to all but `util`."""
SHARED = {"saereport", "saereport.plugins"}
WITHOUT_TORCH = [
    "saereport",
    *("saereport.cli.main", "saereport.config.build", "saereport.diff", "saereport.exchange"),
    *("saereport.measure", "saereport.pipeline.checkpoint", "saereport.pipeline.preflight"),
    *("saereport.pipeline.stage", "saereport.pipeline.timing", "saereport.pipeline.warned"),
    *(f"saereport.pipeline.stages.{name}" for name in STAGES),
    *("saereport.plugins", "saereport.publish", "saereport.report.extracting"),
    *("saereport.report.rendering", "saereport.run", "saereport.site"),
    *("saereport.report.labelling", "saereport.sources.published_labels"),
    "saereport.sources.saes.architectures",
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
            assert other in {room, "util", *ROOMS[room]}, f"{path.name} imports {name}"


def test_every_room_is_listed() -> None:
    """Only the command line may import all, and nothing imports it."""
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms - {"cli"} == set(ROOMS)
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name != "cli" and path.name != "__main__.py":
            assert not {name for name in imports(path) if name.startswith("saereport.cli")}, path


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


CIRCLE = {
    f"saereport.sources.{name}" for name in ("ends", "forward", "models", "probing", "wiring")
}
"""A model is wired as is measured on it: it hands out its own wiring, imported when asked for."""


def imported_modules() -> dict[str, set[str]]:
    """By module, the modules from which it takes something, wherever the import stands."""
    modules = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        modules[".".join(parts).removesuffix(".__init__")] = path
    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        named = found.setdefault(module, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                named |= {name if name in modules else str(node.module) for name in inner}
            elif isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
        found[module] = (named & modules.keys()) - {module}
    return found


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Nor for the sake of types: whoever reads one must not have to know the other first."""
    graph = imported_modules()
    assert len(graph) > 300
    within = {}
    for module in graph:
        reached, waiting = set[str](), [module]
        while waiting:
            new = graph[waiting.pop()] - reached
            reached |= new
            waiting += new
        within[module] = reached
    assert {module for module, reached in within.items() if module in reached} == CIRCLE


LONGEST, MOST = 60, 7
"""Lines of a function, and parameters without `self`."""


def is_command(node: ast.FunctionDef) -> bool:
    """Whether its parameters are the options of a command."""
    called = {ast.unparse(one).partition("(")[0] for one in node.decorator_list}
    return bool(called & {"click.command", "cli.command", "click.group"})


def large(node: ast.FunctionDef) -> bool:
    a = node.args
    named = [one.arg for one in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
    parameters = [name for name in named if name not in ("self", "cls")]
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    return lines > LONGEST or (len(parameters) > MOST and not is_command(node))


def test_functions_are_short_and_take_few_parameters() -> None:
    """Modules are cut by idea; what must not grow is the piece that is read at once."""
    found = {
        f"{path.relative_to(PACKAGE).as_posix()}:{node.name}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and large(node)
    }
    assert found == set()


def test_a_large_function_is_found() -> None:
    one, two, command = ast.parse(
        "def one(self, a, b, c, d, *, e, f, g): ...\n"
        "def two(a, b, c, d, e, f, g, h): ...\n"
        "@click.command()\ndef command(a, b, c, d, e, f, g, h): ...\n"
    ).body
    found = [large(node) for node in (one, two, command) if isinstance(node, ast.FunctionDef)]
    assert found == [False, True, False]
    (long_,) = ast.parse("def long_():\n" + "    x = 1\n" * 60).body
    assert isinstance(long_, ast.FunctionDef)
    assert large(long_)


def test_each_class_of_the_pages_has_a_name_of_its_own() -> None:
    """So that a reader who meets `Row` need not ask which; names inside one module are its own."""
    found: dict[str, list[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(path.relative_to(PACKAGE).as_posix())
    pages = ("site/", "publish/")
    twice = {
        name: paths
        for name, paths in found.items()
        if len(paths) > 1 and any(path.startswith(pages) for path in paths)
    }
    assert twice == {}
