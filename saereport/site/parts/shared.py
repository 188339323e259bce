"""Data that the scripts of all pages share: SAEs, panels and blocks; and how tokens look."""

from __future__ import annotations

from collections.abc import Iterator

from saereport.site import jsonwriter, records
from saereport.site.blocks import BASES
from saereport.site.context import ReportModel
from saereport.site.panels import PANELS
from saereport.site.parts.registry import REPORT_DATA, VOCABULARY, Data, Part, register


def _items(report: ReportModel) -> Iterator[Data]:
    yield _report_data(report)
    yield _vocabulary(report)


def _report_data(report: ReportModel) -> Data:
    saes: list[records.SaeRecord] = [
        {
            "slug": sae.info.slug,
            "label": sae.info.label,
            "neuronpedia": sae.neuronpedia,
            "count": len(sae.shards.latents),
            "last": (sae.shards.latents or (-1,))[-1],
            "firsts": sae.shards.firsts,
        }
        for sae in report.named_saes
    ]
    panels: list[records.PanelRecord] = [
        {
            "name": p.name,
            "title": p.title,
            "tables": list(p.tables),
            "wide": p.wide,
            **({"reveals_text": True} if p.reveals_text else {}),  # type: ignore[typeddict-item]
        }
        for p in PANELS.values()
    ]
    head = {
        "title": report.info.title,
        "fingerprint": report.info.fingerprint[:12],
        "single": report.single,
        "texts": report.sequences.firsts,
        "rows": records.header(),
    }
    lists = {
        "saes": map(jsonwriter.dumps, saes),
        "panels": map(jsonwriter.dumps, panels),
        "bases": (jsonwriter.dumps([name, fields]) for name, fields in BASES.items()),
    }
    return Data(REPORT_DATA, "report", head, lists)


def _vocabulary(report: ReportModel) -> Data:
    words = report.vocabulary
    tokens = (
        jsonwriter.dumps(
            records.trimmed(records.TokenRow(token, shown, int(token in words.special)))
        )
        for token, shown in sorted(words.shown.items())
    )
    joints = (
        jsonwriter.dumps(
            records.JointRow(list(tokens), [records.PieceRow(*piece) for piece in pieces])
        )
        for tokens, pieces in sorted(words.joints(report.sequences.flat).items())
    )
    return Data(VOCABULARY, "vocabulary", {}, {"tokens": tokens, "joints": joints})


register(Part("shared", _items, order=110, tables=("vocabulary",)))
