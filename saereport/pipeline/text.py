"""The text of a run: which one it is, how it is cut into sequences, and what became of it.

One rule says which tokens count, for statistics, examples, evaluation and checks alike: the ones
of the text itself that the SAEs were trained on the like of. Special tokens and padding are not,
nor is what the metadata of the SAEs leaves out.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saereport.config.build import BuildConfig
from saereport.pipeline.warned import Warned
from saereport.run.schema import TextCounts
from saereport.sources.text.files import SUFFIXES
from saereport.sources.text.hub import is_hub_name, open_dataset, training_text
from saereport.sources.text.opening import open_text
from saereport.sources.text.packing import Packed, Portion, Rules, pack
from saereport.sources.text.tally import NothingCountsError, Remark, Tally
from saereport.sources.text.templates import written_out
from saereport.sources.text.text import Text
from saereport.sources.text.tokenised import Tokenised, TokenStore
from saereport.sources.text.training import agree
from saereport.sources.tokens import token_bytes
from saereport.util.errors import SaereportError
from saereport.util.progress import Bar, Progress
from saereport.util.visible import visible

if TYPE_CHECKING:
    from saereport.sources.models import LanguageModel
    from saereport.sources.saes.sae import Sae
DEFAULT_CONTEXT = 128

LOOK_DOCUMENTS, LOOK_CHARACTERS = 256, 1 << 20
"""How much of a text is looked at before the long work."""

TEXT = "text"
"""What the folder of the sequences is called."""

_TOKENISERS = ("tokenizers", "transformers")

TOKENISED_AT_ONCE = 64
"""Sequences that are handed on together while a text is tokenised."""


@dataclass(frozen=True, eq=False)
class RunText:
    """A text and how it is read.

    Attributes:
        text: The text.
        rules: How sequences are made of it, and which tokens count.
        training: What is known of their training tokens, in words.
        tokenizer: The model's tokeniser.
        n_ctx: Longest sequence that the model takes.
        limit: Tokens to read.
        tally: What became of the documents in the pass over the text.
        store: Where the sequences are kept once they are made; nowhere where absent.
    """

    text: Text
    rules: Rules
    training: dict[str, str]
    tokenizer: Any
    n_ctx: int
    limit: int
    tally: Tally = field(default_factory=Tally)
    store: TokenStore | None = None

    def packed(
        self,
        *,
        batch: int,
        skip: int = 0,
        tally: Tally | None = None,
        documents: Any = None,
        in_thread: bool = False,
    ) -> Iterator[Packed]:
        """The sequences of the text, from the disk where they are there.

        Args:
            batch: Sequences in each batch.
            skip: Leave out this many at the start.
            tally: Counts what becomes of the documents.
            documents: Instead of all documents, these, which are the first.
            in_thread: Read and tokenise documents in a thread of their own, ahead.
        """
        if documents is None and self.store is not None and (kept := self.store.load()):
            return kept.packed(skip, batch=batch)
        return pack(
            self.text.documents() if documents is None else documents,
            self.tokenizer,
            self.rules,
            Portion(self.limit, skip, batch),
            tally=tally,
            place=self.text.place,
            in_thread=in_thread,
        )

    def tokenised(self, progress: Progress) -> Tokenised:
        """The sequences on disk, made where they are not there; `tally` is theirs from then on.

        Raises:
            SaereportError: No token of the text counts, it cannot be read, or the disk is full.
            RuntimeError: Nothing says where they are to be kept.
        """
        if self.store is None:
            raise RuntimeError("this text has no place for its sequences")
        found = self.store.load()
        if found is None:
            tally = Tally()
            batches = self.packed(batch=TOKENISED_AT_ONCE, tally=tally, in_thread=True)
            with progress.bar("Tokenising the text", self.to_read, "tok") as bar:
                told = self._told(batches, bar)
                found = self.store.write(told, self.rules.context_size, tally)
        vars(self.tally).update(vars(found.tally))
        return found

    @staticmethod
    def _told(packed: Iterator[Packed], bar: Bar) -> Iterator[Packed]:
        for batch in packed:
            yield batch
            bar.advance(batch.tokens.size)

    def look(self, warned: Warned) -> None:
        """Read the first documents, so that what is wrong with them is known before the long work.

        Raises:
            SaereportError: One holds a token that the model does not have, or most hold nothing.
            GateError: Something makes the numbers doubtful, and warnings are errors.
        """
        tally = Tally()
        try:
            for _ in self.packed(batch=32, tally=tally, documents=self._first()):
                pass
        except NothingCountsError:
            return  # there may be more behind them
        tally.check()
        n = f"Of the first {tally.documents:,}: " if tally.alone else "At the beginning: "
        for remark in self._remarks(tally):
            if remark.doubtful:
                warned.add(n + remark.text, sanity=True)

    def _first(self) -> Iterator[Any]:
        size = 0
        for document in islice(self.text.documents(), LOOK_DOCUMENTS):
            size += len(document)
            yield document[:LOOK_CHARACTERS] if isinstance(document, str) else document
            if size > LOOK_CHARACTERS:
                return

    def conclude(self, warned: Warned) -> None:
        """Say what a reader must know of what was read and what was not."""
        for remark in self._remarks(self.tally):
            if not remark.doubtful:
                warned.add(remark.text)

    def _remarks(self, tally: Tally) -> list[Remark]:
        def shown(token: int) -> str:
            return visible(token_bytes(self.tokenizer, [token])[0])

        special = self.rules.excluded.union(self.rules.special_ids)
        return tally.remarks(self.rules.context_size, self.n_ctx, special, shown)

    @property
    def to_read(self) -> int:
        """Tokens of the whole sequences that hold `limit` tokens."""
        return -(-self.limit // self.rules.context_size) * self.rules.context_size

    @property
    def counts(self) -> TextCounts:
        """What became of the documents, for the run."""
        tally = asdict(self.tally)
        return TextCounts(**{name: tally[name] for name in TextCounts.model_fields})

    @property
    def begins_with_bos(self) -> bool:
        """Whether every sequence that was read begins with BOS."""
        return self.rules.prepend_bos and not self.tally.without_bos


def text_of(config: BuildConfig, saes: Sequence[Sae], warned: Warned) -> Text:
    """Open the text that was asked for, else the one that the SAEs were trained on.

    Raises:
        SaereportError: There is none, or it cannot be read.
    """
    asked: dict[str, Any] = {
        "config": config.dataset_config,
        "split": config.dataset_split,
        "column": config.text_column,
        "revision": config.dataset_revision,
    }
    if config.dataset:
        text = open_text(config.dataset, **asked)
    else:
        text = open_dataset(_training_text(saes, warned), **asked)
    if text.unread:
        only = f"files of its own that end in {', '.join(SUFFIXES)}"
        if "folder" in text.provenance:
            only = "the files that its state.json lists"
        warned.add(
            f"Of the folder {text.name} only {only} are read; not read: {_listed(text.unread)} "
            f"({len(text.unread):,} in all)."
        )
    if config.text_column is None and text.provenance.get("column") == "ids":
        warned.add(
            f"The column 'ids' of {text.name} is read as token ids, for its name alone. Give "
            "--text-column ids if it is them, or the column that holds the text."
        )
    if text.passed_over:
        others = _listed([f"'{name}'" for name in text.passed_over])
        warned.add(
            f"Of {text.name} the column '{text.provenance['column']}' is read; not read, though "
            f"called as if it held the text too: {others} (--text-column)."
        )
    return text


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:5])}{', …' if len(names) > 5 else ''}"


def _training_text(saes: Sequence[Sae], warned: Warned) -> str:
    """The text that the first of the SAEs was trained on; says of which that is not so."""
    first, *others = saes
    name = training_text(first.metadata.get("dataset_path"), first.slug)
    for other in others:
        own = other.metadata.get("dataset_path")
        if own and own != name:
            what = own if isinstance(own, str) and is_hub_name(own) else "another text"
            warned.add(
                f"It was trained on {what}; this report reads the text of {first.slug}, {name}.",
                about=other.slug,
            )
    return name


def run_text(
    config: BuildConfig,
    text: Text,
    saes: Sequence[Sae],
    model: LanguageModel,
    warned: Warned,
) -> RunText:
    """Settle how a text is read for these SAEs.

    Raises:
        SaereportError: The SAEs want different sequences, or the model takes none so long.
    """
    context_size = _context_size(config, saes, model)
    if text.kind == "chat":
        text = written_out(text, model.tokenizer, model.name)
    trained = {d.slug: d.trained for d in saes}
    agree(trained, context_size, model.special_ids)
    first = saes[0]
    for d in saes:
        _warn(config, d, context_size, warned)
        beyond = [i for i in d.trained.excluded_ids(()) if not 0 <= i < model.d_vocab]
        if beyond:
            warned.add(
                f"Its metadata name token {min(beyond)} in exclude_special_tokens, which is not in "
                f"the model's vocabulary of {model.d_vocab:,} tokens: is it of another model?",
                about=d.slug,
                sanity=True,
            )
    return RunText(
        text=text,
        rules=Rules(
            context_size=context_size,
            prepend_bos=first.prepend_bos,
            bos_id=model.bos_id,
            special_ids=model.special_ids,
            separator=first.separator,
            include_special=config.include_special,
            joined=first.trained.joined is not False,
            positions=first.trained.seen(context_size),
            excluded=first.trained.excluded_ids(model.special_ids),
            n_vocab=model.d_vocab,
        ),
        training=_in_words({slug: one.words() for slug, one in trained.items()}),
        tokenizer=model.tokenizer,
        n_ctx=model.n_ctx,
        limit=config.tokens,
    )


def store_of(
    text: RunText, identity: Mapping[str, Any], work: Path, shared: Path | None = None
) -> TokenStore:
    """Where the sequences of a text are kept, by all that they depend on.

    Args:
        text: The text.
        identity: That of the run.
        work: Folder that is kept until a build is whole.
        shared: Folder in which other processes may have them too.
    """
    known = {name: identity[name] for name in ("saereport", "tokenizer", "text")}
    libraries = {k: v for k, v in identity["libraries"].items() if k in _TOKENISERS}
    record = {**known, "libraries": libraries, "rules": text.rules.record(), "limit": text.limit}
    revision = text.text.provenance.get("revision", "")
    if "revision" in text.text.provenance and re.fullmatch("[0-9a-f]{40}", str(revision)) is None:
        # Which text this is, nobody can say: another process does not find what this one keeps.
        record["process"] = secrets.token_hex(8)
    return TokenStore(work / TEXT, record, shared)


def _context_size(config: BuildConfig, saes: Sequence[Sae], model: LanguageModel) -> int:
    """The context that was asked for, else the smallest that one of the SAEs was trained with."""
    known = [d.context_size for d in saes if d.context_size]
    size = config.context_size or min(known, default=min(DEFAULT_CONTEXT, model.n_ctx))
    if size > model.n_ctx:
        raise SaereportError(
            f"A context of {size:,} tokens is longer than the model's {model.n_ctx:,}.",
            "Give a smaller --context-size.",
        )
    policies = {d.prepend_bos for d in saes}
    if len(policies) > 1:
        names = [d.slug for d in saes if d.prepend_bos]
        raise SaereportError(
            f"Of these SAEs only {', '.join(names)} want BOS before each sequence; one pass "
            "over the text cannot serve both.",
            "Make two reports.",
        )
    return size


def _warn(config: BuildConfig, sae: Sae, context_size: int, warned: Warned) -> None:
    trained = sae.trained
    if trained.context_size is not None and context_size > trained.context_size:
        warned.add(
            f"It was trained on sequences of {trained.context_size:,} tokens; of sequences of "
            f"{context_size:,} it never saw the later positions.",
            about=sae.slug,
        )
    if config.include_special and trained.excluded is not False and trained.excluded is not None:
        warned.add(
            "It was trained without special tokens, which --include-special counts.",
            about=sae.slug,
        )


def _in_words(said: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """By subject, what the SAEs say of it: once where they say the same."""
    first = next(iter(said.values()))
    found = {}
    for subject in first:
        each = {slug: words[subject] for slug, words in said.items()}
        same = len(set(each.values())) == 1
        found[subject] = (
            first[subject] if same else "; ".join(f"{slug}: {one}" for slug, one in each.items())
        )
    return found
