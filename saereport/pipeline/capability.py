"""Prompts of capability tests as token ids, and what the tests will take."""

from __future__ import annotations

from typing import NamedTuple
from unicodedata import normalize

from saereport.circuits.prompts import answer_token, shown, text_tokens
from saereport.evaluate.capability import Question, capability
from saereport.evaluate.prompt_sets import AnsweredPrompt, asked_prompts
from saereport.pipeline.context import Context
from saereport.pipeline.probe import Probe, line_through
from saereport.pipeline.stage import Cost
from saereport.sources.models import LanguageModel
from saereport.sources.tokens import token_bytes
from saereport.util.errors import SaereportError

FEW, MOST = 4, 16
"""Prompts that are put together to see what all will take, at first and at most."""


class Asked(NamedTuple):
    """The prompts that can be used, and of built-in ones that cannot, how many and why."""

    questions: list[Question]
    unusable: dict[str, list[str]]


def questions_of(context: Context) -> Asked:
    """The prompts that are asked for as token ids.

    Raises:
        SaereportError: One of a file cannot be used; names the line.
    """
    config, first = context.config, next(iter(context.saes.values()))
    model = context.model
    bos = (model.bos_id,) if first.prepend_bos and model.bos_id is not None else ()
    found = Asked([], {})
    for prompt in asked_prompts(config.capability, config.capability_file):
        made = question(prompt, model, bos, include_special=config.include_special)
        if isinstance(made, Question):
            found.questions.append(made)
        elif prompt.origin:
            raise SaereportError(f"{prompt.origin}: {made}", "Change this prompt or leave it out.")
        else:
            found.unusable.setdefault(prompt.set, []).append(made)
    return found


def question(
    prompt: AnsweredPrompt, model: LanguageModel, bos: tuple[int, ...], *, include_special: bool
) -> Question | str:
    """A prompt as token ids, or as a sentence why it cannot be used.

    Args:
        prompt: The prompt.
        model: The language model.
        bos: BOS where text begins with it, else nothing.
        include_special: Whether activations at BOS and other special tokens are replaced too.
    """
    tokens = text_tokens(model, prompt.text, bos)
    counted = tuple(include_special or token not in model.special_ids for token in tokens)
    if len(tokens) > model.n_ctx:
        return (
            f"The prompt has {len(tokens):,} tokens, and the model's context holds {model.n_ctx:,}."
        )
    if not any(counted):
        return "The prompt has no token that counts."
    answer, note = answer_token(model.tokenizer, prompt.text, prompt.answer)
    notes = [note] if note else []
    if answer < 0:
        return note
    wrong = -1
    if prompt.wrong:
        wrong, note = answer_token(model.tokenizer, prompt.text, prompt.wrong)
        notes += [f"Of the wrong answer: {note}"] if note else []
    for token, words in ((answer, prompt.answer), (wrong, prompt.wrong)):
        if token >= model.d_vocab or (token >= 0 and not _begins(model, token, words)):
            return f"The model has no token for the answer '{shown(words.strip())}'."
    if wrong == answer:
        wrong = -1
        notes.append(
            f"The wrong answer '{shown(prompt.wrong)}' begins with the same token, so it is left "
            "out."
        )
    return Question(prompt.set, tokens, counted, answer, wrong, " ".join(notes))


def _begins(model: LanguageModel, token: int, answer: str) -> bool:
    """Whether an answer begins with a token, and not with one that stands for unknown words."""
    said, text = token_bytes(model.tokenizer, [token])[0].strip(), answer.strip()
    # A tokeniser may write characters otherwise, and small, before it looks them up.
    forms = {text, *(normalize(form, text) for form in ("NFC", "NFKC", "NFD"))}
    forms |= {form.lower() for form in forms}
    return token not in model.special_ids and any(f.encode().startswith(said) for f in forms)


def warn_of_unusable(context: Context, asked: Asked) -> None:
    """Say which built-in prompts this model's tokeniser cannot put."""
    for name, reasons in asked.unusable.items():
        used = sum(one.set == name for one in asked.questions)
        context.warned.add(
            f"Of the capability test '{name}' {len(reasons):,} of {len(reasons) + used:,} prompts "
            f"are left out; of the first: {reasons[0]}"
        )


def tokens_of(context: Context, questions: list[Question]) -> int:
    """Tokens that go through the model, counted again for every pass."""
    alone = [sae for sae in context.saes.values() if not sae.why_not_alone]
    passes = 1 + len(alone) + len({sae.write_point.name for sae in alone})
    return sum(len(one.tokens) for one in questions) * passes


def cost_of_capability(context: Context, probe: Probe) -> Cost:
    """What all prompts will take, from one and from a few of the length that most of them have."""
    questions = questions_of(context).questions
    if not questions:
        return Cost(seconds=0.0)
    saes, lengths = list(context.saes.values()), [len(one.tokens) for one in questions]
    usual = max(sorted(set(lengths)), key=lengths.count)
    alike = [one for one in questions if len(one.tokens) == usual]
    with probe.sample() as one:
        capability(context.model, saes, alike[:1], context.progress)
    # Prompts that go through the model together take less each.
    n = FEW if probe.brief else probe.fitting(one.seconds, MOST)
    some = alike[: max(1, min(n, len(alike)))]
    with probe.sample() as more:
        capability(context.model, saes, some, context.progress)
    n_alike = sum(lengths) / usual
    return Cost(
        seconds=line_through((1, one.seconds), (len(some), more.seconds), n_alike),
        host_bytes=more.host_bytes,
        device_bytes=more.device_bytes,
    )
