"""The options of the commands that collect, made from the settings, and what they make of them.

Every plain setting is an option of its own name, with its description as help and its own default:
a new setting, and one of a plug-in's stage, needs nothing here. Options that stand for a list of
settings (SAEs, prompts) are written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from saereport.cli.prompts import prompt_options, with_prompts
from saereport.config.build import BuildConfig, config_class, make_config, read_config
from saereport.config.meta import parse_meta_sae
from saereport.config.section import SECTIONS, Option
from saereport.sources.saes.directory import require_ids
from saereport.util.errors import SaereportError, UsageError, shortened

F = TypeVar("F", bound=Callable[..., Any])


class SettingsCommand(click.Command):
    """A command with an option for every plain setting.

    They are made when the command runs, since plug-ins are loaded after it was defined.
    """

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own parameters, then the settings, then `--help`."""
        *own, help_ = super().get_params(ctx)
        return _apart([*own, *setting_options(), help_])


MOST_IDS = 1000
"""Ids that one range may stand for."""

SAE_ID = (
    "Id in the release, or the layer in a folder of transcoders; repeat it for several, or give a "
    "range of numbers: layer_0..11."
)


META_SAE = (
    "Meta-SAE of an SAE of the report: an SAE trained on its decoder rows, by its folder or by "
    "release and id; repeatable."
)


def list_options(function: F) -> F:
    """The options that stand for lists: of SAEs, and of prompts."""
    options = [
        click.option("--release", multiple=True, help="SAELens release; with --sae-id."),
        click.option("--sae-id", multiple=True, help=SAE_ID),
        click.option(
            "--sae-path",
            multiple=True,
            type=click.Path(),
            help="Folder with an SAE or a set of transcoders; repeatable.",
        ),
        click.option("--meta-sae", multiple=True, metavar="SAE=FOLDER|RELEASE:ID", help=META_SAE),
    ]
    function = prompt_options(function)
    for option in reversed(options):
        function = option(function)
    return function


def setting_options() -> list[click.Option]:
    """An option for every plain setting, those of no stage first."""
    fields = config_class().model_fields
    general = [name for name in BuildConfig.__annotations__ if name in fields]
    order = dict.fromkeys([*general, *fields])
    return [option for name in order for option in _options(name, fields[name])]


def _apart(parameters: list[click.Parameter]) -> list[click.Parameter]:
    """The same parameters, of which no two have a word in common.

    Raises:
        SaereportError: Two settings are one option, of which only the last would be set.
    """
    taken: dict[str, click.Parameter] = {}
    for one in parameters:
        for word in (*one.opts, *one.secondary_opts):
            other = taken.setdefault(word, one)
            if other is not one:
                raise SaereportError(
                    f"The option {word} would stand for '{other.name}' and for '{one.name}', one "
                    "of them of a plug-in.",
                    "Uninstall the plug-in, or leave all plug-ins out with --no-plugins.",
                )
    return parameters


def _options(name: str, field: FieldInfo) -> Iterator[click.Option]:
    """The options of a setting; of a section, those of the settings in it that are offered."""
    section = _section(field)
    if section is None:
        if _is_plain(field):
            yield _option(name, name, field)
        return
    for inner, own in section.model_fields.items():
        if not _is_plain(own):
            continue
        if name in SECTIONS:
            yield _option(f"{name}.{inner}", f"{name}-{inner}", own)
        elif _marked(own):
            yield _option(f"{name}.{inner}", inner, own)


def _option(place: str, words: str, field: FieldInfo) -> click.Option:
    """One option; its parameter is named by the dotted place of the setting."""
    flag = f"--{words.replace('_', '-')}"
    kind, multiple = _kind(field)
    marked = _marked(field)
    option = click.Option(
        [f"{flag}/--no-{flag[2:]}" if kind is bool else flag],
        default=None,
        multiple=multiple,
        type=None if kind is bool else _type(kind),
        metavar=_metavar(kind, marked),
        help=_help(field, multiple),
    )
    option.name = place
    return option


def _section(field: FieldInfo) -> type[BaseModel] | None:
    """The model that a setting is of, if it is one."""
    for kind in _alternatives(field.annotation):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _alternatives(annotation: Any) -> list[Any]:
    """What a setting may be, None left out."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) not in (Union, UnionType):
        return [] if annotation is NoneType else [annotation]
    return [kind for one in get_args(annotation) for kind in _alternatives(one)]


def _kind(field: FieldInfo) -> tuple[Any, bool]:
    """What a setting is, and whether it is a list of that."""
    kind, *_ = _alternatives(field.annotation)
    if get_origin(kind) is tuple:
        inner, *_ = _alternatives(get_args(kind)[0])
        return inner, True
    return kind, False


def _is_plain(field: FieldInfo) -> bool:
    """Whether an option can say it: by a word, or by several."""
    kind, multiple = _kind(field)
    if multiple:
        return kind in (str, Path)
    return kind in (bool, int, float, str, Path) or get_origin(kind) is Literal


def _type(kind: Any) -> click.ParamType[Any]:
    """Choices and paths; what else there is, the settings read themselves."""
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    # As text, since an empty path is no folder: the settings refuse it.
    return click.Path() if kind is Path else click.STRING


def _metavar(kind: Any, marked: Option | None) -> str | None:
    if marked is not None and marked.metavar is not None:
        return marked.metavar
    return "N" if kind is int else None


def _marked(field: FieldInfo) -> Option | None:
    return next((mark for mark in field.metadata if isinstance(mark, Option)), None)


def _help(field: FieldInfo, multiple: bool) -> str:
    """The description of a setting, with its default."""
    words = (field.description or "").replace("`", "'").rstrip(". \n")
    default = field.get_default()
    if multiple:
        return f"{words}; repeatable."
    if isinstance(default, bool):
        return f"{words} ({'yes' if default else 'no'})."
    if isinstance(default, int):
        return f"{words} ({default:,})."
    return f"{words} ({default})." if isinstance(default, (str, float)) else f"{words}."


def configured(path: Path | None, given: dict[str, Any]) -> BuildConfig:
    """The settings of a file, if one is named, with the command line's on top.

    Raises:
        SaereportError: The file cannot be read.
        UsageError: A setting means nothing.
    """
    return merged(read_config(path) if path else {}, given, origin=f"'{path}'" if path else None)


def merged(
    values: dict[str, Any], given: dict[str, Any], *, origin: str | None = None
) -> BuildConfig:
    """Settings with the command line's on top.

    Args:
        values: Settings as YAML gives them.
        given: What the options say, by the name of their parameter.
        origin: Where the settings come from, for messages.

    Raises:
        UsageError: A setting means nothing.
    """
    said = {place for place, value in given.items() if value is not None and value != ()}
    # Lists that options of other names make.
    said |= {"saes"} if said & {"release", "sae_path"} else set()
    said |= {"prompts"} if said & {"prompt", "prompt_tokens", "repeat_random"} else set()
    named = _named_saes(given.pop("release"), given.pop("sae_id"), given.pop("sae_path"))
    meta = [parse_meta_sae(words) for words in given.pop("meta_sae", ())]
    values = with_prompts(values, given)
    for place, value in given.items():
        if value is not None and value != ():
            values = _with(values, place.split("."), value)
    if named:
        values["saes"] = named
    if meta:
        values["meta_saes"] = meta
    # What is said for all SAEs on the command line goes before what the file says for one.
    overridden = {key for key in ("latents", "explanations") if given.get(key) is not None}
    if overridden and isinstance(values.get("saes"), list):
        values["saes"] = [
            {key: value for key, value in sae.items() if key not in overridden}
            if isinstance(sae, dict)
            else sae
            for sae in values["saes"]
        ]
    asked = make_config(values, origin=origin or "the command line", given=said)
    require_ids(asked.saes)
    return asked.checked()


def _with(values: dict[str, Any], place: list[str], value: Any) -> dict[str, Any]:
    """Settings with one of them set; what is no mapping is left for the check to refuse."""
    name, *inner = place
    if not inner:
        return {**values, name: value}
    section = values.get(name, {})
    return {**values, name: _with(section, inner, value)} if isinstance(section, dict) else values


def _named_saes(
    releases: Sequence[str], ids: Sequence[str], paths: Sequence[str | Path]
) -> list[dict[str, Any]]:
    """Pair `--release` with `--sae-id`; ids without a release are those of the `--sae-path`s."""
    expanded = [one for given in ids for one in _expanded(given)]
    alone = [] if expanded and not releases else list(paths)
    where: str = "release"
    owners: list[Any] = list(releases)
    if expanded and not releases and paths:
        where, owners = "path", list(paths)
    if not expanded:
        return [{where: one} for one in owners] + [{"path": path} for path in alone]
    if len(owners) == 1:
        owners *= len(expanded)
    if len(owners) != len(expanded):
        option = "--release" if where == "release" else "--sae-path"
        word = option.removeprefix("--")
        raise UsageError(
            f"{option} was given {len(owners)} times and --sae-id {len(expanded)} times.",
            f"Give one {word} for all ids, or one for each id, in order.",
        )
    pairs = zip(owners, expanded, strict=True)
    return [{where: one, "sae_id": id_} for one, id_ in pairs] + [{"path": path} for path in alone]


_RANGE = re.compile(
    r"(?P<before>.*?)(?P<first>\d{1,5})\.\.(?:(?P=before))?(?P<last>\d{1,5})(?P<after>.*)"
)


def _expanded(given: str) -> list[str]:
    """The ids that one stands for: `layer_0..2`, or `layer_0..layer_2`, is those and layer_1."""
    match = _RANGE.fullmatch(given)
    if match is None:
        return [given]
    first, last = int(match["first"]), int(match["last"])
    if first > last or last - first >= MOST_IDS:
        raise UsageError(
            f"'{shortened(given, 60)}' is no range of ids.",
            f"Write the smaller number first, such as layer_0..11; up to {MOST_IDS} of them.",
        )
    return [f"{match['before']}{number}{match['after']}" for number in range(first, last + 1)]
