"""From page models to HTML: the one Jinja environment, strict and escaping everything."""

from __future__ import annotations

from typing import Any

from saereport.run.tables import TABLES
from saereport.site import assets
from saereport.site.context import Report, SaeView
from saereport.site.csp import policy
from saereport.site.templating import environment


class Pages:
    """Renders templates with what all pages of a report share."""

    def __init__(self, report: Report) -> None:
        self._info = report.info
        self._environment = environment()
        self._environment.globals.update(
            csp=policy(embed_neuronpedia=report.embed_neuronpedia),
            styles=assets.STYLES,
            scripts=assets.SCRIPTS,
            early=assets.EARLY,
            title=report.info.title,
            saes=report.info.saes,
            single=report.single,
            has_circuits=report.has_circuits,
            titles={name: table.title for name, table in TABLES.items()},
        )

    def render(
        self, template: str, *, root: str, kind: str, sae: SaeView | None = None, **fields: Any
    ) -> str:
        """One page.

        Args:
            template: Its template.
            root: From the page to the report's root: `""` or `"../"`.
            kind: What the page is, for the script: `overview`, `sae`, `latents`, `text`.
            sae: The SAE that the page is about.
            fields: What the template needs besides.
        """
        made = self._environment.get_template(template)
        info = sae.info if sae else None
        warnings = () if kind == "text" else self._info.warnings
        if info is not None:
            warnings = self._info.warnings_of(info.slug)
        return made.render(root=root, kind=kind, sae=info, warnings=warnings, **fields)
