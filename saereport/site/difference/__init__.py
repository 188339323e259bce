"""The page of a comparison: one HTML file in the style of a report, under a policy of hashes.

Everything is in the HTML itself; the script only filters and remembers the reader's colours.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from saereport.diff.gates import Outcome
from saereport.diff.model import Difference
from saereport.diff.wording import gate_counts, prompt_changed, verb, verdict
from saereport.run import Run
from saereport.site import assets
from saereport.site.csp import digest, single_policy
from saereport.site.difference.page import changed_metrics, prompt_parts, sae_parts
from saereport.site.templating import environment
from saereport.util.visible import visible_text

STYLES = ("tokens.css", "layout.css", "parts.css", "difference.css")
SCRIPT = "difference.js"

__all__ = ["difference_page"]


def difference_page(
    difference: Difference, before: Run, after: Run, outcomes: Sequence[Outcome] = ()
) -> str:
    """The HTML of a comparison.

    Args:
        difference: The comparison.
        before: The run that was there, for the stories of its latents.
        after: The new run.
        outcomes: What became of the gates; none where there are none.

    Raises:
        SaereportError: A run is damaged.
    """
    style, early, script = "".join(map(_asset, STYLES)), _asset(assets.EARLY), _asset(SCRIPT)
    made = environment()
    parts = sae_parts(difference, before, after)
    policy = single_policy(
        scripts=[digest(early), digest(script)], styles=[digest(style)], embed_neuronpedia=False
    )
    return made.get_template("difference.html").render(
        csp=policy,
        # The package's own files, whose hashes the policy names: the only text not escaped.
        style=Markup(style),
        early=Markup(early),
        script=Markup(script),
        difference=difference,
        imported=before.info.is_imported or after.info.is_imported,
        verdict=verdict(difference),
        facts=[
            (visible_text(f"{fact.topic} {fact.name}"), *map(_text, (fact.before, fact.after)))
            for fact in difference.facts
            if fact.matters
        ],
        lesser=[
            (visible_text(f"{fact.topic} {fact.name}"), *map(_text, (fact.before, fact.after)))
            for fact in difference.facts
            if not fact.matters
        ],
        saes=parts,
        metrics=changed_metrics(parts),
        prompts=prompt_parts(difference),
        gates=[(verb(outcome), outcome.gate, outcome.message) for outcome in outcomes],
        gate_counts=gate_counts(outcomes),
        unchanged=[
            visible_text(p.name)
            for p in difference.prompts
            if not prompt_changed(p) and not p.not_compared
        ],
        lists=[
            (what, ", ".join(map(visible_text, slugs)))
            for what, slugs in (
                ("SAEs added", difference.saes_added),
                ("SAEs removed", difference.saes_removed),
                ("Prompts added", difference.prompts_added),
                ("Prompts removed", difference.prompts_removed),
            )
            if slugs
        ],
    )


def _text(value: str) -> str:
    return visible_text(value) or "absent"


def _asset(name: str) -> str:
    return (assets.templates() / "static" / name).read_text(encoding="utf-8")
