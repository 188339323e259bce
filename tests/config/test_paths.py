"""Paths in settings are found by the types of the fields, whoever declares them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NotRequired

import pytest
import yaml
from pydantic import BaseModel, DirectoryPath, Field, RootModel
from typing_extensions import TypedDict

from saereport.config.build import make_config, read_config
from saereport.config.paths import NAME_OR_PATH, with_paths


class Inner(BaseModel):
    file: Path | None = None
    word: str = ""


class Other(BaseModel):
    word: Path


class Listed(RootModel[list[Path]]):
    pass


class Typed(TypedDict):
    file: NotRequired[Path]
    size: int


@dataclass
class Plain:
    file: Path
    size: int = 0


class Settings(BaseModel):
    word: str = ""
    path: Path = Path()
    folder: DirectoryPath | None = None
    many: tuple[Path, ...] = ()
    pair: tuple[str, Path] = ("", Path())
    named: Annotated[str | None, NAME_OR_PATH] = None
    several: list[Annotated[str, NAME_OR_PATH]] = []
    by_name: dict[str, Path | int] = {}
    inner: Inner = Inner()
    deep: dict[str, list[Inner | None]] = {}
    either: Inner | Other | None = None
    listed: Listed = Listed([])
    ones: tuple[Inner, ...] = ()
    typed: Typed | None = None
    plain: Plain | None = None
    called: Path = Field(Path(), alias="file-name")
    any: Any = None


def changed(value: str, certain: bool) -> str:
    return f"{'path' if certain else 'maybe'}:{value}"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"word": "x", "path": "x"}, {"word": "x", "path": "path:x"}),
        ({"folder": "x"}, {"folder": "path:x"}),
        ({"many": ["x", "y"]}, {"many": ["path:x", "path:y"]}),
        ({"many": "x"}, {"many": "path:x"}),
        ({"pair": ["x", "y", "z"]}, {"pair": ["x", "path:y", "z"]}),
        ({"named": "x"}, {"named": "maybe:x"}),
        ({"named": "demo", "path": "demo"}, {"named": "demo", "path": "path:demo"}),
        ({"several": ["x", "demo"]}, {"several": ["maybe:x", "demo"]}),
        ({"by_name": {"a": "x", "b": 3}}, {"by_name": {"a": "path:x", "b": 3}}),
        ({"inner": {"file": "x", "word": "y"}}, {"inner": {"file": "path:x", "word": "y"}}),
        ({"deep": {"a": [None, {"file": "x"}]}}, {"deep": {"a": [None, {"file": "path:x"}]}}),
        ({"either": {"file": "x", "word": "y"}}, {"either": {"file": "path:x", "word": "path:y"}}),
        ({"listed": ["x"]}, {"listed": ["path:x"]}),
        ({"ones": [{"file": "x"}]}, {"ones": [{"file": "path:x"}]}),
        ({"ones": {"file": "x", "word": "y"}}, {"ones": {"file": "path:x", "word": "y"}}),
        ({"typed": {"file": "x", "size": 1}}, {"typed": {"file": "path:x", "size": 1}}),
        ({"plain": {"file": "x"}}, {"plain": {"file": "path:x"}}),
        ({"file-name": "x"}, {"file-name": "path:x"}),
        ({"path": " ", "named": ""}, {"path": " ", "named": ""}),
        ({"path": ["x"], "inner": "x", "deep": ["x"]}, None),
        ({"unknown": "x", "any": {"path": "x"}, "path": 3}, None),
        ("text", None),
        (None, None),
    ],
)
def test_paths_are_where_their_types_say(values: Any, expected: Any) -> None:
    assert with_paths(values, Settings, changed) == (values if expected is None else expected)


@pytest.mark.parametrize("as_list", [False, True])
def test_files_of_a_list_with_commas_lie_beside_the_yaml(
    as_list: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "with, comma"
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    for name in ("a.txt", "b.txt", "c,d.txt"):
        (folder / name).touch()
    asked: Any = "a.txt, b.txt"
    asked = [asked, "c,d.txt"] if as_list else asked
    (folder / "r.yaml").write_text(yaml.safe_dump({"saes": [{"path": "x"}], "probe": asked}))
    monkeypatch.chdir(tmp_path / "elsewhere")
    probe = make_config(read_config(folder / "r.yaml")).probe
    assert probe[0] == (folder / "a.txt", folder / "b.txt")
    assert probe[1:] == ((folder / "c,d.txt",) if as_list else ())
