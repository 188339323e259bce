"""From a run to a report, and what there is to say about a run: everything without torch."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any, TypedDict, Unpack

from saereport.config.build import read_config
from saereport.plugins import load_plugins
from saereport.report.report import Report
from saereport.run import Run, SaeInfo, opened
from saereport.util.errors import UsageError
from saereport.util.files import real_path, require_apart, reserved, target_folder
from saereport.util.progress import Progress
from saereport.util.visible import visible_text


def starting_config() -> str:
    """The commented YAML that `saereport init` writes."""
    return resources.files("saereport").joinpath("config", "start.yaml").read_text(encoding="utf-8")


def demo_settings() -> dict[str, Any]:
    """The settings of the built-in demo: its own model, SAEs and text.

    Raises:
        SaereportError: The demo's files are not where the package keeps them.
    """
    with resources.as_file(resources.files("saereport").joinpath("demo")) as folder:
        return read_config(Path(folder) / "report.yaml")


def describe(run: Run) -> str:
    """What a run holds, as lines for the terminal."""
    info = run.info
    text, model = info.text, info.model
    documents = "documents" if text.chat_template is None else "conversations by the chat template"
    shape = (
        f" ({model.wrapper}, {model.n_layers} layers, d_model {model.d_model}, "
        f"{model.d_vocab:,} tokens, {model.dtype}"
        f"{f', weights in {model.quantization}' if model.quantization else ''})"
    )
    lines = [
        info.title,
        "",
        f"model   {model.name}{shape if model.n_layers else ''}",
        f"text    {text.name}: {text.n_tokens:,} tokens in {text.n_sequences:,} sequences of "
        f"{text.context_size}, {text.n_counted:,} counted, {text.n_documents:,} {documents}",
        f"run     schema {info.schema_version}, saereport {info.saereport_version}, "
        f"{len(info.files)} files, {sum(f.bytes for f in info.files) / 2**20:,.1f} MiB",
    ]
    for name in run.unregistered:
        table = run.tables[name]
        lines.append(
            f"table   '{name}' is of the plug-in '{table.plugin}', which is not installed: it is "
            "read as the run describes it"
        )
    if run.has("prompts"):
        graphs = run.rows("graphs") if run.has("graphs") else 0
        lines.append(f"prompts {run.rows('prompts'):,}, {graphs:,} with an attribution graph")
    if info.plugins:
        lines.append(f"plugins {', '.join(f'{name} {v}' for name, v in info.plugins.items())}")
    lines += [f"        {name} left out: {why}" for name, why in sorted(info.left_out.items())]
    for sae in info.saes:
        lines += ["", *_describe_sae(run, sae)]
    if info.warnings:
        lines += ["", *(f"Warning: {warning.words}" for warning in info.warnings)]
    return "\n".join(visible_text(line) for line in lines)


def _describe_sae(run: Run, sae: SaeInfo) -> list[str]:
    where = sae.hook_in if not sae.is_transcoder else f"{sae.hook_in} -> {sae.hook_out}"
    measured = "L0 not measured" if sae.l0 is None else f"L0 {sae.l0.mean:.1f}"
    if sae.n_dead is not None:
        measured += f", {sae.n_dead:,} of {sae.d_sae:,} never active"
    sizes = f"{sae.d_in} -> {sae.d_sae:,} -> {sae.d_out}"
    lines = [
        f"{sae.label}  [{sae.slug}]",
        *([f"  {sae.architecture}, {sizes}, {where}"] if sae.d_sae else []),
        f"  {sae.n_chosen:,} latents shown ({sae.selection}); {measured}",
        f"  Neuronpedia: {sae.neuronpedia_id or 'no id'}",
    ]
    lines += [f"  {name:<24}{run.rows(name, sae.slug):>10,} rows" for name in run.names(sae.slug)]
    lines += [f"  {name:<24}left out: {why}" for name, why in sorted(sae.left_out.items())]
    return lines


class PageOptions(TypedDict, total=False):
    """How pages are made: what `render` takes beside a run and a place for them.

    Attributes:
        neuronpedia_embed: Offer Neuronpedia's page of a latent in a frame that loads on a click.
        single_file: Write one HTML file that opens by double click.
        force: Write that file however large it is.
        with_run: Whether the run goes into the report. Where absent or None, it goes into a
            single file, and into a folder if its tables have at most `RUN_ABOVE` bytes or are
            nowhere else.
        processes: How many processes make the pages of latents; where absent or None, what cores
            and latents suggest.
        progress: Where to say what is going on; nowhere where absent.
    """

    neuronpedia_embed: bool
    single_file: bool
    force: bool
    with_run: bool | None
    processes: int | None
    progress: Progress | None


RUN_ABOVE = 50 * 10**6
"""Bytes of a run's tables above which a report does not hold them unless asked to."""


def render(run: Path | str, out: Path | str, **pages: Unpack[PageOptions]) -> Report:
    """Make the pages of a run.

    A report that holds the run itself can be rendered again, cut and compared.

    Args:
        run: A run's folder, a report's, a report in one file, or `REVISION:PATH` of one in git.
        out: Folder of the report, or with `single_file` the HTML file. An older report there is
            replaced when the new one is whole.
        pages: How the pages are made; see `PageOptions`.

    Returns:
        The report; it displays itself in a notebook.

    Raises:
        SaereportError: The run is missing or damaged, or `out` holds something else.
    """
    from saereport.site.folder import require_report_or_nothing
    from saereport.site.single_write import require_single_or_nothing

    progress = pages.get("progress") or Progress(quiet=True)
    load_plugins(progress.warn)
    single = pages.get("single_file", False)
    target = real_path(out) if single else target_folder(out)
    check = require_single_or_nothing if single else require_report_or_nothing
    require_apart(target, [run])
    with reserved(target, check), opened(str(run)) as source:
        inside = keeps_run(source, target, wants_run(pages))
        _write(source, target, inside, pages)
        if inside:
            return Report(Path(out))
        if wants_run(pages) is None:
            progress.say(
                f"The run's tables ({source.size / 10**6:,.0f} MB) are not copied into the report; "
                "--with-run puts them in."
            )
        return Report(Path(out), made_from=source.path if Path(run).exists() else None)


def _write(source: Run, target: Path, inside: bool, pages: PageOptions) -> None:
    """Make the pages of an opened run, with the run in them or not."""
    from saereport.site import render as render_site
    from saereport.site.single_write import write_single

    if pages.get("single_file", False):
        write_single(
            source,
            target,
            embed_neuronpedia=pages.get("neuronpedia_embed", False),
            with_run=inside,
            force=pages.get("force", False),
            progress=pages.get("progress"),
        )
    else:
        render_site(
            source.path,
            target,
            embed_neuronpedia=pages.get("neuronpedia_embed", False),
            with_run=inside,
            processes=pages.get("processes"),
            progress=pages.get("progress"),
        )


def wants_run(pages: PageOptions) -> bool | None:
    """Whether the run is to go into the report; None where its size decides.

    A single file has it whatever its size: what is too large for one is refused.
    """
    asked = pages.get("with_run")
    return True if asked is None and pages.get("single_file", False) else asked


def keeps_run(run: Run, target: Path, asked: bool | None) -> bool:
    """Whether the report of a run is to hold it.

    Args:
        run: The run.
        target: Where the report goes.
        asked: What the user wants; None for what its size suggests.

    Raises:
        UsageError: Not, but it lies in the report that is replaced and would be lost.
    """
    replaced = target in run.path.resolve().parents
    if asked is False and replaced:
        raise UsageError(
            f"The run lies in '{target}', which is replaced: without it, it would be lost.",
            "Give --out another name.",
        )
    return (replaced or run.size <= RUN_ABOVE) if asked is None else asked
