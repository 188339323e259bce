"""What turning the latent up does to its own tokens, beside what other latents do to theirs."""

from __future__ import annotations

from math import exp

from saereport.site import numbers
from saereport.site.blocks import Block, base
from saereport.site.context import LatentView
from saereport.site.panels.registry import panel

FACTS = base(
    "output_score",
    b="facts",
    names=["output score", "of other latents", "scores above", "its tokens become", "turned up by"],
)
TOKENS = base(
    "output_score.tokens",
    b="tokens",
    title="Next token on neutral prompts",
    columns=["without", "turned up"],
    formats=["percent", "percent"],
    bar=1,
)


@panel("output_score", "What turning it up does", "output_scores")
def output_score(latent: LatentView) -> list[Block]:
    """The score and its controls, and the probability of each top token before and after."""
    if not len(latent.rows("output_scores")):
        return []
    row = latent.rows("output_scores").first()
    ends = " to ".join(numbers.value(round(end, numbers.SCORE_DIGITS)) for end in row["interval"])
    prompts = numbers.plural(row["n_prompts"], "prompt")
    notes = [
        f"{ends}; {prompts}" if ends else prompts,
        f"mean of {len(row['controls'])}, of like density and length",
        "of these",
        f"as likely; those of other latents ×{_factor(row['control_log_ratio'])}",
        "its maximum",
    ]
    values = [
        numbers.value(round(row["score"], numbers.SCORE_DIGITS)),
        numbers.value(round(row["control"], numbers.SCORE_DIGITS)),
        numbers.percent(row["percentile"]),
        f"×{_factor(row['log_ratio'])}",
        f"×{numbers.value(row['strength'])}",
    ]
    tokens = [
        list(entry) for entry in zip(row["top_tokens"], row["before"], row["after"], strict=True)
    ]
    return [FACTS(values=values, notes=notes), TOKENS(rows=tokens)]


def _factor(nats: float) -> str:
    """By how much probability is multiplied."""
    return numbers.value(exp(max(min(nats, 300.0), -300.0)))
