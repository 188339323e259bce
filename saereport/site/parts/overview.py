"""The front page of a report with several SAEs: what was run, and one card for each SAE."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from saereport.run import SaeInfo
from saereport.site import numbers
from saereport.site.context import ReportModel, place_in_model
from saereport.site.densities import densities
from saereport.site.latent_summary import Fact
from saereport.site.parts.registry import Entry, Page, PageKind, Part, register
from saereport.site.quality import quality_facts
from saereport.site.sae_page import later_writes

KINDS = {
    "resid": "residual stream",
    "mlp_in_normalized": "MLP input",
    "mlp_in": "MLP input",
    "mlp_out": "MLP output",
    "attn_out": "attention output",
    "z": "attention heads",
}


@dataclass(frozen=True)
class SaeCard:
    """One SAE on the front page; `order` is what the cards can be sorted by."""

    href: str
    label: str
    what: str
    hook: str
    facts: tuple[Fact, ...]
    layer: int
    n_layers: int
    transcoder: bool
    spark: str
    order: tuple[tuple[str, str], ...]


def report_facts(report: ReportModel) -> list[Fact]:
    """Model and text in one strip."""
    model, text = report.info.model, report.info.text
    shape = f"{model.n_layers} layers, {model.d_model} dimensions"
    documents = numbers.plural(text.n_documents, "document")
    if text.chat_template is not None:
        documents = f"{numbers.plural(text.n_documents, 'conversation')}, by the chat template"
    counted, of_all = numbers.count(text.n_counted), f"of {numbers.count(text.n_tokens)}"
    context = Fact("Context", numbers.count(text.context_size), "tokens a sequence")
    n_named = len(report.named_saes) - len(report.saes)
    # What an imported run does not know is 0 or empty.
    return [
        Fact("Model", model.name or "not given", shape if model.n_layers else ""),
        *([Fact("Vocabulary", numbers.count(model.d_vocab), "tokens")] if model.d_vocab else []),
        Fact("Text", text.name or "not given", documents if text.n_documents else ""),
        *([Fact("Tokens counted", counted, of_all)] if text.n_counted else []),
        *([context] if text.context_size else []),
        Fact(
            "SAEs",
            numbers.count(len(report.saes)),
            f"and {n_named} named in circuits" if n_named else "",
        ),
        Fact("Latents shown", numbers.count(sum(sae.n_chosen for sae in report.info.saes))),
    ]


def card(report: ReportModel, info: SaeInfo, density_counts: list[int]) -> SaeCard:
    """The card of one SAE; `density_counts` are the bins of its density distribution."""
    facts = [
        Fact("Width", numbers.count(info.d_sae) if info.d_sae else "–"),
        Fact("L0", numbers.value(info.l0.mean) if info.l0 else "–"),
        Fact("Dead", "–" if info.dead_share is None else numbers.percent(info.dead_share)),
        Fact("Shown", numbers.count(info.n_chosen)),
        *quality_facts(report.run, info.slug),
    ]
    reads = KINDS.get(info.kind, info.kind)
    writes = KINDS.get(info.kind_out, info.kind_out)
    made = info.architecture.replace("_", " ")
    if info.is_transcoder:
        noun = "" if "transcoder" in made else " transcoder"
        what = f"{made}{noun}, {reads} to {writes}"
    else:
        what = ", ".join(part for part in (f"{made} SAE".strip(), reads) if part)
    hook = f"{info.hook_in} → {info.hook_out}" if info.is_transcoder else info.hook_in
    hook = ", ".join(part for part in (hook, later_writes(info)) if part)
    return SaeCard(
        href=report.home(info.slug),
        label=info.label,
        what=what,
        hook=hook,
        facts=tuple(facts),
        layer=info.layer,
        n_layers=report.info.model.n_layers,
        transcoder=info.is_transcoder,
        spark=_bars(density_counts),
        order=_order(info),
    )


def _order(info: SaeInfo) -> tuple[tuple[str, str], ...]:
    values = {
        "width": info.d_sae,
        "l0": info.l0.mean if info.l0 else None,
        "dead": info.dead_share,
        "shown": info.n_chosen,
    }
    return tuple((name, f"{value:.6g}") for name, value in values.items() if value is not None)


def _bars(counts: list[int]) -> str:
    """A histogram as an SVG path 120 by 28."""
    if not counts:
        return ""
    width, top = 120 / len(counts), max(counts)
    pieces = []
    for i, n in enumerate(counts):
        if n:
            height = max(1.0, 28 * n / top)
            pieces.append(f"M{i * width:.1f} 28v-{height:.1f}h{width - 0.8:.1f}v{height:.1f}z")
    return "".join(pieces)


def _items(report: ReportModel) -> Iterator[Page]:
    ordered = sorted(report.saes, key=lambda sae: place_in_model(sae.info))
    cards = [card(report, sae.info, densities(sae).counts) for sae in ordered]
    yield Page("index.html", "overview", fields={"facts": report_facts(report), "cards": cards})


register(
    Part(
        "overview",
        _items,
        order=10,
        kinds=(PageKind("overview", "overview.html", warnings="open"),),
        navigation=lambda report, sae: (Entry("Overview", "index.html"),),
        present=lambda report: not report.single,
    )
)
