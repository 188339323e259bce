"""What a latent's reader must be warned of: sentences made from its numbers, most serious first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from saereport.site import numbers
from saereport.site.context import LatentView

DENSE = 0.1
FEW = 30
THIN_TOP = 0.01
ONE_TOKEN = 0.9
LOW_COSINE = 0.3
TWIN = 0.9


@dataclass(frozen=True)
class LatentWarning:
    """A reason for care; `reveals_text` if it says on which text the latent is active."""

    text: str
    reveals_text: bool = False


def warnings(latent: LatentView) -> list[LatentWarning]:
    """Reasons to read this latent with care; empty where there is none."""
    return [
        reason if isinstance(reason, LatentWarning) else LatentWarning(reason)
        for reason in _reasons(latent)
    ]


def _reasons(latent: LatentView) -> Iterator[str | LatentWarning]:
    rows = latent.rows("activity")
    if not len(rows) or latent.dead:
        counted = latent.sae.n_counted
        on = f"on {numbers.count(counted)} counted tokens" if counted else "in the imported files"
        yield f"Never active {on}: dead on this text."
        return
    density = rows["density"][0]
    if density > DENSE:
        yield f"Dense: active on {numbers.percent(density)} of tokens, so examples say little."
    if 0 < latent.n_active < FEW:
        seen = numbers.plural(latent.n_active, "token")
        known = "" if latent.blind == "redacted" else "; the examples show nearly all there is"
        yield f"Rare: active on {seen} only{known}."
    yield from _thin_top(latent)
    yield from _one_token(latent)
    yield from _one_document(latent)
    yield from _directions(latent)


def _thin_top(latent: LatentView) -> Iterator[str]:
    groups = [
        (lower, upper, n, share)
        for name, lower, upper, n, share in latent.rows("example_groups").each(
            "group", "lower", "upper", "n_active", "share"
        )
        if name.startswith("interval:")
    ]
    if groups and latent.n_active >= FEW:
        lower, _, n, share = max(groups)
        if share < THIN_TOP:
            yield (
                f"The strongest activations (above {numbers.value(lower)}) are "
                f"{numbers.percent(share)} of its active tokens ({numbers.count(n)}): "
                "read the lower intervals too."
            )


def _one_token(latent: LatentView) -> Iterator[LatentWarning]:
    for order, token, share in latent.rows("token_statistics").each("order", "token", "share"):
        if order == "share":
            if share > ONE_TOKEN:
                yield LatentWarning(
                    f"{numbers.percent(share)} of its activation is on the token "
                    f"“{latent.token(token)}”: it may detect just that.",
                    reveals_text=True,
                )
            return


def _one_document(latent: LatentView) -> Iterator[str]:
    documents = [d for g, d in latent.rows("examples").each("group", "document") if g == "top"]
    known = "documents" not in latent.sae.info.left_out
    if known and len(documents) >= 5 and len(set(documents)) == 1:
        yield f"All {len(documents)} top examples are from one document."


def _directions(latent: LatentView) -> Iterator[str]:
    geometry = latent.rows("geometry")
    if len(geometry) and not latent.sae.info.is_transcoder:
        cosine = geometry["encoder_decoder_cosine"][0]
        if cosine < LOW_COSINE:
            shown = numbers.value(cosine)
            yield f"It reads and writes different directions (cosine {shown})."
    neighbours = latent.rows("neighbours")
    if len(neighbours) and neighbours["cosine"][0] > TWIN:
        other, cosine = neighbours["other"][0], numbers.value(neighbours["cosine"][0])
        yield f"Latent {other} writes nearly the same direction (cosine {cosine})."
