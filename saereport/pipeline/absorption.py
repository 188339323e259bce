"""The first-letter task in a build: words of the vocabulary in prompts, and what it takes."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from torch import Tensor

from saereport.circuits.prompts import answer_token, text_tokens
from saereport.config.probing import AbsorptionConfig
from saereport.evaluate.absorption import (
    Directions,
    LetterProbe,
    Words,
    absorbing_rows,
    letter_columns,
    letter_probes,
    letters_of,
)
from saereport.evaluate.fidelity import SequenceBatches, Sequences
from saereport.intervene.generating import keeps_keys
from saereport.measure import Columns
from saereport.pipeline.context import Context
from saereport.pipeline.probe import Probe
from saereport.pipeline.stage import Cost, Yielded
from saereport.run.absorption import ALL
from saereport.sources.devices import float64_of
from saereport.sources.forward import forward
from saereport.sources.models import KeyValues, LanguageModel
from saereport.sources.saes.normalizing import written_after
from saereport.sources.saes.sae import Sae
from saereport.sources.tokens import token_bytes
from saereport.util.errors import SaereportError

TABLES = ("absorption_letters", "absorption_latents")
FEWEST_WORDS: Final = 20
"""Words that a letter needs."""
TOKENS_TOGETHER: Final = 4096
ROWS_TOGETHER: Final = 4096
_WORD = re.compile(rb"( ?)([A-Za-z]{3,})")


@dataclass(frozen=True, eq=False)
class LetterTask:
    """Words in prompts of one length.

    Attributes:
        tokens: The token of each word, `[n]`.
        letters: Its first letter, `[n]`.
        before: What stands before each word.
        after: What stands after it.
        answers: The token of each letter as an answer, in the order of `names`; -1 where the
            vocabulary does not tell the letters apart.
        names: The letters.
        in_vocabulary: Words of each in the vocabulary.
    """

    tokens: NDArray[np.int64]
    letters: NDArray[np.str_]
    before: tuple[int, ...]
    after: tuple[int, ...]
    answers: tuple[int, ...]
    names: tuple[str, ...]
    in_vocabulary: dict[str, int]

    def sequences(self, device: torch.device) -> Sequences:
        """Every prompt, `[n, pos]`."""
        rows = [(*self.before, word, *self.after) for word in self.tokens.tolist()]
        tokens = torch.tensor(rows, device=device)
        return Sequences(tokens, torch.ones_like(tokens, dtype=torch.bool))


def vocabulary_words(model: LanguageModel, letters: str) -> dict[str, list[int]]:
    """The words of the vocabulary by their first letter, ascending.

    Tokens of at least three letters a to z and nothing else, with a space before them where at
    least half of such tokens have one.
    """
    ids = [token for token in range(model.d_vocab) if token not in model.special_ids]
    spaced: dict[str, list[int]] = {}
    plain: dict[str, list[int]] = {}
    for token, data in zip(ids, token_bytes(model.tokenizer, ids), strict=True):
        match = _WORD.fullmatch(data)
        if match is not None:
            letter = match[2][:1].decode().lower()
            if letter in letters:
                (spaced if match[1] else plain).setdefault(letter, []).append(token)
    n_spaced, n_plain = (sum(map(len, one.values())) for one in (spaced, plain))
    return spaced if n_spaced >= n_plain else plain


def letter_task(context: Context) -> LetterTask:
    """The words that are asked for, in their prompts.

    Raises:
        SaereportError: The vocabulary has too few words of two letters, or the prompts are longer
            than the model's context.
    """
    model, asked = context.model, context.config.absorption_test
    found = vocabulary_words(model, asked.letters)
    rng = np.random.default_rng([context.config.seed, 4])
    every = sorted(token for tokens in found.values() for token in tokens)
    shown = rng.permutation(every)[: asked.shown].tolist()
    left = {
        letter: [token for token in tokens if token not in shown]
        for letter, tokens in sorted(found.items())
    }
    left = {letter: tokens for letter, tokens in left.items() if len(tokens) >= FEWEST_WORDS}
    if len(left) < 2:
        raise SaereportError(
            f"The vocabulary of {model.name} has {FEWEST_WORDS} words that are one token for "
            f"{len(left)} of the letters '{asked.letters}'; absorption needs two letters.",
            "Ask for other letters with absorption_test.letters, or leave absorption out.",
        )
    total = sum(map(len, left.values()))
    tokens: list[int] = []
    letters: list[str] = []
    for letter, mine in left.items():
        n = min(len(mine), max(FEWEST_WORDS, round(asked.words * len(mine) / total)))
        tokens += sorted(rng.permutation(mine)[:n].tolist())
        letters += [letter] * n
    before, after, text = _around(context, asked, shown, tokens[0])
    length = len(before) + 1 + len(after)
    if length > model.n_ctx:
        raise SaereportError(
            f"A first-letter prompt has {length:,} tokens, and the context of {model.name} holds "
            f"{model.n_ctx:,}.",
            "Show fewer words with absorption_test.shown.",
        )
    names = tuple(left)
    answers = [answer_token(model.tokenizer, text, f" {name.upper()}")[0] for name in names]
    if len(set(answers)) < len(names) or max(answers) >= model.d_vocab or min(answers) < 0:
        answers = [-1] * len(names)
    counts = {letter: len(found[letter]) for letter in names}
    return LetterTask(
        np.array(tokens), np.array(letters), before, after, tuple(answers), names, counts
    )


def _around(
    context: Context, asked: AbsorptionConfig, shown: Sequence[int], word: int
) -> tuple[tuple[int, ...], tuple[int, ...], str]:
    """Tokens before and after the word in each prompt, and the text of one."""
    model, first = context.model, next(iter(context.saes.values()))
    bos = (model.bos_id,) if first.prepend_bos and model.bos_id is not None else ()
    start, end = asked.template.split("{word}")
    words = [data.decode() for data in token_bytes(model.tokenizer, [*shown, word])]
    lines = [f"{start}{one}{end} {one.strip()[0].upper()}" for one in words[:-1]]
    before = "\n".join([*lines, start])
    whole = text_tokens(model, words[-1] + end, ())
    alone = text_tokens(model, words[-1], ())
    # What follows a word is tokenised behind it: alone it can get a space of its own.
    after = whole[len(alone) :] if whole[: len(alone)] == alone else text_tokens(model, end, ())
    prefix = text_tokens(model, before, bos) if before else bos
    return prefix, after, before + words[-1] + end


def why_not_absorbing(sae: Sae) -> str:
    """Why absorption is not defined for an SAE, a clause; empty where it is."""
    if sae.hook_in.kind != "resid":
        return (
            f"it reads at '{sae.hook_in.name}', and absorption is defined on the residual stream, "
            "where a word's first letter is carried to later layers"
        )
    if sae.is_transcoder:
        return "it writes elsewhere than it reads, so that no latent can stand for what it reads"
    return sae.why_not_alone


def read_words(context: Context, task: LetterTask, saes: Sequence[Sae]) -> Words:
    """Activations and latents at every word, and whether the model can spell it.

    The prompts begin alike: their keys and values are computed once where the model keeps them.
    """
    model, names = context.model, sorted({sae.hook_in.name for sae in saes})
    text = task.sequences(model.device)
    place = len(task.before)
    size = max(1, TOKENS_TOGETHER // text.tokens.shape[1])
    batches = SequenceBatches(size)
    kept = (
        _Prefix(model, text.tokens, place)
        if place and keeps_keys(model, text.tokens[:1], {})
        else None
    )
    answers = torch.tensor(task.answers, device=model.device)

    def read(batch: Sequences) -> dict[str, Any]:
        if kept is None or any(sae.encoder.of_sequences for sae in saes):
            run, at = forward(model, batch.tokens, reads=names, logits="last"), place
        else:
            rest = batch.tokens[:, place:]
            run, at = forward(model, rest, reads=names, logits="last", cache=kept.of(len(batch))), 0
        found: dict[str, Any] = {
            name: run.acts[name][:, at].float().cpu().numpy() for name in names
        }
        for sae in saes:
            found[f"f {sae.slug}"] = _encoded(sae, run.acts[sae.hook_in.name], at)
            found[f"scale {sae.slug}"] = _scales(sae, run.acts[sae.hook_in.name][:, at])
        if run.logits is None:
            raise RuntimeError("a pass for logits gave none")
        found["said"] = run.logits[:, -1][:, answers.clamp(min=0)].argmax(dim=1).cpu().numpy()
        bar.advance(len(batch))
        return found

    with context.progress.bar("Reading words", len(text), "words") as bar, torch.no_grad():
        parts = list(batches.over(text, read))
    said = np.array(task.names)[np.concatenate([part["said"] for part in parts])]
    spelled = (said == task.letters) & (task.answers[0] >= 0)
    return Words(
        task.tokens,
        task.letters,
        spelled,
        {name: np.concatenate([part[name] for part in parts]) for name in names},
        {sae.slug: csr_array(vstack([part[f"f {sae.slug}"] for part in parts])) for sae in saes},
        {sae.slug: np.concatenate([part[f"scale {sae.slug}"] for part in parts]) for sae in saes},
    )


class _Prefix:
    """Keys and values of what all prompts begin with."""

    def __init__(self, model: LanguageModel, tokens: Tensor, place: int) -> None:
        self._model, self._tokens = model, tokens[:1, :place]
        self._kept: dict[int, KeyValues] = {}

    def of(self, n: int) -> KeyValues:
        """Those for `n` prompts, to be added to."""
        if n not in self._kept:
            # Only the last size is held: a batch is as large as the one before, or smaller.
            self._kept = {n: KeyValues()}
            tokens = self._tokens.expand(n, -1)
            forward(self._model, tokens, logits="last", cache=self._kept[n])
        return copy.deepcopy(self._kept[n])


def _scales(sae: Sae, read: Tensor) -> NDArray[np.float64]:
    """By how much an SAE that normalises what it reads, `[n, d_in]`, writes more than its rows."""
    ones = torch.ones(len(read), 1, dtype=torch.float64)
    found = written_after(sae.normalizes, float64_of(read).cpu(), ones)
    return np.asarray(found.numpy()[:, 0], np.float64)


def _encoded(sae: Sae, acts: Tensor, at: int) -> csr_array:
    """Latents at one position of activations `[n, pos, d_in]`."""
    rows = []
    if sae.encoder.of_sequences:
        for one in acts:
            rows.append(csr_array(sae.encode(one[None])[0][at : at + 1].float().cpu().numpy()))
    else:
        step = max(1, 2**24 // sae.d_sae)
        for first in range(0, len(acts), step):
            f = sae.encode(acts[first : first + step, at])
            rows.append(csr_array(f.float().cpu().numpy()))
    return csr_array(vstack(rows))


def word_rows(task: LetterTask, words: Words, asked: AbsorptionConfig) -> Columns:
    """Table `absorption_words`."""
    rows = [
        {
            "letter": letter,
            "n_words": int(mine.sum()),
            "n_in_vocabulary": n,
            "spelled": float(words.spelled[mine].mean()),
            "template": asked.template,
            "n_shown": asked.shown,
        }
        for letter, mine, n in (
            (ALL, np.ones(len(words.letters), bool), sum(task.in_vocabulary.values())),
            *((name, words.letters == name, task.in_vocabulary[name]) for name in task.names),
        )
    ]
    rows.sort(key=lambda row: str(row["letter"]))
    return {name: [row[name] for row in rows] for name in rows[0]}


def directions(sae: Sae, probes: dict[str, LetterProbe]) -> Directions:
    """An SAE's write directions against the probes'."""
    along, norms = [], []
    toward = np.stack([probe.direction for probe in probes.values()], axis=1)
    with torch.no_grad():
        for first in range(0, sae.d_sae, ROWS_TOGETHER):
            latents = torch.arange(first, min(first + ROWS_TOGETHER, sae.d_sae))
            rows = float64_of(sae.write_rows(latents)).cpu().numpy()
            along.append(rows @ toward)
            norms.append(np.linalg.norm(rows, axis=1))
    return Directions(np.concatenate(along), np.concatenate(norms))


def measured(context: Context) -> Iterator[Yielded]:
    """The tables of the stage."""
    task, seed = letter_task(context), context.config.seed
    saes = []
    for sae in context.saes.values():
        if reason := why_not_absorbing(sae):
            context.leave_out_all(sae.slug, TABLES, reason)
        else:
            saes.append(sae)
    if not saes:
        return
    words = read_words(context, task, saes)
    yield None, "absorption_words", word_rows(task, words, context.config.absorption_test)
    probes: dict[str, dict[str, LetterProbe]] = {}
    for sae in saes:
        hook, slug = sae.hook_in.name, sae.slug
        numbers = (words.activations[hook], words.latents[slug].data)
        if not all(bool(np.isfinite(one).all()) for one in numbers):
            context.leave_out_all(slug, TABLES, "its numbers are not finite")
            continue
        if hook not in probes:
            probes[hook] = letter_probes(words.activations[hook], words.letters, seed)
        of = directions(sae, probes[hook])
        found = letters_of(words, slug, hook, probes[hook], of, seed)
        yield slug, "absorption_letters", letter_columns(found, probes[hook])
        columns = absorbing_rows(words, slug, found, of)
        if columns:
            yield slug, "absorption_latents", columns


def cost_of_absorption(context: Context, probe: Probe) -> Cost:
    """What it takes, from a few words of each letter."""
    saes = [sae for sae in context.saes.values() if not why_not_absorbing(sae)]
    if not saes:
        return Cost(seconds=0.0)
    task = letter_task(context)
    n = min(len(task.tokens), 32)
    some = np.linspace(0, len(task.tokens) - 1, n).astype(int)
    small = LetterTask(
        task.tokens[some],
        task.letters[some],
        task.before,
        task.after,
        task.answers,
        task.names,
        task.in_vocabulary,
    )
    with probe.sample() as one:
        words = read_words(context, small, saes)
    width = next(iter(words.activations.values())).shape[1]
    # A probe is fitted by some hundred products of its words with their activations.
    fits = 2e-9 * 300 * width * len(task.tokens) * (len(task.names) + 6)
    places = len({sae.hook_in.name for sae in saes})
    return Cost(
        seconds=one.seconds * len(task.tokens) / n + places * fits,
        host_bytes=one.host_bytes,
        device_bytes=one.device_bytes,
    )
