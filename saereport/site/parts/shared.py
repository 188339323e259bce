"""Data that the scripts of all pages share: SAEs, panels and blocks; and how tokens look."""

from __future__ import annotations

from collections.abc import Iterator

from saereport.site import jsonwriter
from saereport.site.blocks import BASES
from saereport.site.context import ReportModel
from saereport.site.panels import PANELS
from saereport.site.parts.registry import REPORT_DATA, VOCABULARY, Data, Part, register


def _items(report: ReportModel) -> Iterator[Data]:
    yield _report_data(report)
    yield _vocabulary(report)


def _report_data(report: ReportModel) -> Data:
    saes = [
        {
            "slug": sae.info.slug,
            "label": sae.info.label,
            "neuronpedia": sae.neuronpedia,
            "count": len(sae.shards.latents),
            "last": (sae.shards.latents or (-1,))[-1],
            "firsts": sae.shards.firsts,
        }
        for sae in report.saes
    ]
    panels = [
        {
            "name": p.name,
            "title": p.title,
            "tables": list(p.tables),
            "wide": p.wide,
            **({"reveals_text": True} if p.reveals_text else {}),
        }
        for p in PANELS.values()
    ]
    head = {
        "title": report.info.title,
        "fingerprint": report.info.fingerprint[:12],
        "single": report.single,
        "texts": report.sequences.firsts,
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
        jsonwriter.dumps([token, shown, 1] if token in words.special else [token, shown])
        for token, shown in sorted(words.shown.items())
    )
    joints = (
        jsonwriter.dumps([list(tokens), [list(piece) for piece in pieces]])
        for tokens, pieces in sorted(words.joints(report.sequences.flat).items())
    )
    return Data(VOCABULARY, "vocabulary", {}, {"tokens": tokens, "joints": joints})


register(Part("shared", _items, order=110, tables=("vocabulary",)))
