"""Prompts of capability tests as token ids, and what the tests will take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple
from unicodedata import normalize

import torch

from saereport.circuits.prompts import answer_token, shown, text_tokens
from saereport.evaluate.capability import Question, read_off
from saereport.evaluate.prompt_sets import AnsweredPrompt, asked_prompts
from saereport.evaluate.sequences import sequences_at_a_time
from saereport.pipeline.context import Context
from saereport.pipeline.pass_time import pass_time
from saereport.pipeline.probe import PassTime, Probe
from saereport.pipeline.stage import Cost
from saereport.sources.models import LanguageModel
from saereport.sources.tokens import token_bytes
from saereport.util.errors import SaereportError

FEW = 4
"""Prompts whose logits are read off to see what that takes."""


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
    given, prompt = prompt, _with_the_space(model, prompt)
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
    if prompt is not given:
        notes.insert(0, "The space before the answer is a token here, and belongs to the prompt.")
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


def _with_the_space(model: LanguageModel, prompt: AnsweredPrompt) -> AnsweredPrompt:
    """The prompt up to and with what blank stands before the answer, where that is a token.

    Some tokenisers write digits, or all characters, one by one. That a space follows says nothing
    about the answer, so what comes after it is asked for.
    """
    token, _ = answer_token(model.tokenizer, prompt.text, prompt.answer)
    bare = prompt.answer.lstrip()
    blank = prompt.answer.removesuffix(bare)
    if token < 0 or not blank or token_bytes(model.tokenizer, [token])[0].strip():
        return prompt
    wrong = prompt.wrong.removeprefix(blank)
    return replace(prompt, text=prompt.text + blank, answer=bare, wrong=wrong)


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
    """What all prompts will take: the passes, and reading off the logits of each."""
    questions = questions_of(context).questions
    saes = [sae for sae in context.saes.values() if not sae.why_not_alone]
    if not questions or not saes:
        return Cost(seconds=0.0)
    model, passes = context.model, pass_time(context, probe)
    some = questions[:FEW]
    logits = torch.zeros((len(some), 1, model.d_vocab), dtype=model.dtype, device=model.device)
    with probe.sample() as sample:
        # Drawn, since of equal logits there are many to be put in order.
        read_off(logits.uniform_(), some)
    runs = 1 + len(saes) + len({sae.write_point.name for sae in saes})
    lengths = [len(one.tokens) for one in questions]
    batches = sum(
        -(-lengths.count(length) // sequences_at_a_time(length, model.d_vocab))
        for length in set(lengths)
    )
    return Cost(
        seconds=seconds_of_prompts(passes, lengths, batches, runs)
        + passes.seconds(2 * len(saes), 4 * len(saes), 0)
        + sample.seconds / len(some) * len(questions) * runs,
        host_bytes=max(sample.host_bytes, passes.host_bytes),
        device_bytes=sample.device_bytes,
    )


def seconds_of_prompts(passes: PassTime, lengths: Sequence[int], batches: int, runs: int) -> float:
    """What the passes take.

    Args:
        passes: What a pass takes.
        lengths: Tokens of each prompt.
        batches: How often some of them go through the model together, once over all prompts.
        runs: How often each prompt goes through the model.
    """
    return passes.seconds(batches * runs, sum(lengths) * runs, len(lengths) * runs)
