"""`run.json`: what a run is, as typed, frozen, versioned models.

The file says what was measured (model, SAEs, text, configuration), with what (libraries, versions
of the metrics) and what lies beside it (every file with its size and SHA-256). It holds no clock,
no host name and no path of the machine that made it, so equal inputs give equal bytes.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from saereport.util.errors import SaereportError, named_or_near
from saereport.util.slugs import SLUG

SCHEMA_VERSION: Final = 2
"""Raised when a reader of the previous version would misread a run."""

Slug = Annotated[str, StringConstraints(pattern=f"^{SLUG}$")]
"""An SAE's folder; `saereport.util.slugs.is_slug` says what else it must not be."""

Count = Annotated[int, Field(ge=0, le=2**53)]
"""A number of things; up to here whole numbers are exact in double precision."""

Size = Annotated[int, Field(ge=0, le=2**24)]
"""A dimension of a model or an SAE, or a length of a context."""

MOST_SAES: Final = 4096
MOST_LAYERS: Final = 4096

Layers = Annotated[int, Field(ge=0, le=MOST_LAYERS)]
"""A layer, or a number of layers or heads."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class RunRecord(BaseModel):
    """Base of everything stored in `run.json`: frozen, and unknown fields are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, str_max_length=2**16
    )


class ModelInfo(RunRecord):
    """The language model that was run.

    Attributes:
        name: Its name as given, or the name of its folder.
        content: Revision or content hash that identifies the weights; empty where unknown.
        wrapper: `HookedTransformer` or `TransformerBridge`.
        kwargs: Loading options that the SAE's metadata asked for.
        norm: `rms` or `layer`.
        final_norm: How the final norm's weight entered the logit lens, in words.
        dtype: Number type of weights and activations.
        quantization: How its matrices are packed, such as `nf4`; empty where they are not.
    """

    name: str
    content: str = ""
    wrapper: str
    kwargs: dict[str, Any] = Field(default_factory=dict)
    n_layers: Layers
    d_model: Size
    n_heads: Layers
    n_kv_heads: Layers
    d_head: Size
    d_vocab: Size
    n_ctx: Size
    norm: str
    final_norm: str
    dtype: str
    quantization: str = ""


class TextCounts(RunRecord):
    """What became of a text's documents: nothing of it is lost without being counted.

    Attributes:
        documents: Documents, or rows of token ids, that were begun and hold something.
        empty: Those that hold nothing, or nothing but padding; rows without a text are among them.
        tokens: Tokens of those that were begun, padding left out; of a document of more than
            262,144 characters at least those that were needed.
        padding: Tokens of rows that were padding.
        cut: Documents that are longer than a sequence of their own, and were cut.
        cut_tokens: Tokens of theirs that were not read.
        short: Documents that are shorter than a sequence of their own, and were filled up.
        filled: Places that were filled up, which do not count.
        without_bos: Rows that do not begin with BOS though the SAEs want that.
        left_over: Tokens at the end of the text that fill no sequence and were not read.
        replaced: Lone halves of surrogate pairs, read as U+FFFD.
    """

    documents: Count
    empty: Count
    tokens: Count
    padding: Count
    cut: Count
    cut_tokens: Count
    short: Count
    filled: Count
    without_bos: Count
    left_over: Count
    replaced: Count


class TextInfo(RunRecord):
    """The text that the statistics are over.

    Attributes:
        name: Dataset or file name.
        source: Where the text came from, with hashes or revisions.
        context_size: Tokens in a packed sequence, BOS included.
        n_sequences: Packed sequences that were run.
        n_tokens: All tokens that were run.
        n_counted: Tokens that counted, the denominator of every density.
        n_documents: Documents that were begun.
        prepend_bos: Whether each sequence begins with BOS.
        include_special: Whether special tokens count.
        digest: Sum modulo 2^256 of SHA-256 over each sequence, its number, token ids and which of
            them count: the identity of the text as the model saw it.
        training: What the SAEs' metadata says of the tokens that they were trained on, and what it
            does not say, by subject.
        counts: What became of the documents; absent where it is not known.
    """

    name: str
    source: dict[str, Any]
    context_size: Size
    n_sequences: Count
    n_tokens: Count
    n_counted: Count
    n_documents: Count
    prepend_bos: bool
    include_special: bool
    digest: Sha256
    training: dict[str, str] = Field(default_factory=dict)
    counts: TextCounts | None = None

    @property
    def chat_template(self) -> str | None:
        """What is known of the chat template that wrote its conversations out, in words."""
        applied = self.source.get("chat_template")
        if not isinstance(applied, dict):
            return None
        dated = f"; where it writes the date, {applied['date']}" if applied.get("date") else ""
        return f"SHA-256 {applied.get('sha256')}{dated}"


class L0(RunRecord):
    """Active latents per counted token; `histogram[n]` tokens had n to n + `width` - 1."""

    mean: Annotated[float, Field(ge=0, le=2**24)]
    width: Annotated[int, Field(ge=1, le=2**24)]
    histogram: Annotated[tuple[Count, ...], Field(max_length=65_536, fail_fast=True)]


class SaeInfo(RunRecord):
    """One SAE or transcoder of the run.

    Attributes:
        slug: Its folder in the run and in the site.
        label: Short name for headings.
        release: SAELens release, or empty for one from disk.
        sae_id: Id within the release, or the folder's name.
        architecture: As SAELens names it.
        hook_in: Hook point that it reads.
        hook_out: Hook point that it reconstructs; equal to `hook_in` for an SAE.
        also_writes: Further hook points that it writes to, for a layer of a cross-layer transcoder.
        layer: Layer of the hook that it reads.
        kind: What it reads: `resid`, `mlp_in_normalized`, `mlp_in`, `mlp_out`, `attn_out` or `z`.
        kind_out: What it writes, in the same words.
        trained_context_size: Context that it was trained with, 0 where unknown.
        neuronpedia_id: `{model}/{source}` on Neuronpedia, or empty.
        weights: SHA-256 over its weights.
        n_chosen: How many latents the report shows.
        selection: The words by which they were chosen.
        n_dead: Latents of the whole SAE never active on this text; absent if not measured.
        l0: Active latents per token; absent if not measured.
        left_out: Tables that this SAE cannot have, each with the reason.
    """

    slug: Slug
    label: str
    release: str = ""
    sae_id: str
    architecture: str
    hook_in: str
    hook_out: str
    also_writes: Annotated[tuple[str, ...], Field(max_length=MOST_LAYERS, fail_fast=True)] = ()
    layer: Layers
    kind: str
    kind_out: str
    d_in: Size
    d_sae: Size
    d_out: Size
    trained_context_size: Size = 0
    neuronpedia_id: str = ""
    metadata: dict[str, Any] = Field(default_factory=dict)
    weights: Sha256
    n_chosen: Count
    selection: str
    n_dead: Count | None = None
    l0: L0 | None = None
    left_out: dict[str, str] = Field(default_factory=dict)

    @property
    def is_transcoder(self) -> bool:
        """Whether it reconstructs another hook point than it reads."""
        return self.hook_in != self.hook_out

    @property
    def dead_share(self) -> float | None:
        """`n_dead` over `d_sae`; None if not measured or the width is unknown."""
        return None if self.n_dead is None or not self.d_sae else self.n_dead / self.d_sae

    @model_validator(mode="after")
    def _dead_latents_are_latents(self) -> Self:
        if self.n_dead is not None and self.n_dead > self.d_sae:
            raise ValueError("n_dead is more than d_sae")
        return self


class MemoryRow(RunRecord):
    """One large object that was alive at the end of a stage; `bytes` on `device`."""

    stage: str
    name: str
    kind: str
    device: str
    bytes: Count


class StagePeak(RunRecord):
    """Peak memory during one stage: of the process, and on the device where it has its own."""

    stage: str
    process_bytes: Count
    device_bytes: Count | None = None


class MemoryProfile(RunRecord):
    """What `--profile-memory` saw."""

    peaks: tuple[StagePeak, ...]
    rows: tuple[MemoryRow, ...]


class RunWarning(RunRecord):
    """Something that a reader must know, though the run could be collected.

    Attributes:
        about: Slug of the SAE that it is about; empty for the model, the text, or all of it.
        source: Who says so: `saereport`, or the library that did.
        sanity: Whether it says that the numbers are probably not about what they seem to be about.
        text: Whole sentences.
    """

    about: str = ""
    source: str = "saereport"
    sanity: bool = False
    text: str

    @property
    def words(self) -> str:
        """The warning with what it is about and who says so, as one line."""
        about = f"{self.about}: " if self.about else ""
        said = "" if self.source == "saereport" else f" (says {self.source})"
        return f"{about}{self.text}{said}"


class ColumnInfo(RunRecord):
    """One column of a table: its type, and the kind of what it holds (see `kinds.as_data`)."""

    name: str
    type: str
    holds: dict[str, Any]


class TableInfo(RunRecord):
    """What a table of the run is, so that it can be read where nobody has registered it.

    Attributes:
        title: Its heading; as the definition, absent for saereport's own, which say it themselves.
        plugin: The package that adds it; empty for saereport's own.
    """

    scope: Literal["run", "sae"]
    about: str
    key: Annotated[tuple[str, ...], Field(max_length=16, fail_fast=True)]
    columns: Annotated[tuple[ColumnInfo, ...], Field(max_length=256, fail_fast=True)]
    version: Count
    reveals_text: bool = False
    title: str = ""
    definition: str = ""
    plugin: str = ""


class FileInfo(RunRecord):
    """One file of the run: path relative to `run.json`, size, SHA-256, rows."""

    path: str
    bytes: Count
    sha256: Sha256
    rows: Count


class RunInfo(RunRecord):
    """The whole of `run.json`.

    Attributes:
        fingerprint: SHA-256 over everything that the numbers depend on; two runs with the same
            fingerprint measured the same thing with the same saereport.
        tables: What each table that the run holds is.
        inputs: By stage, what it read beside its settings, in words, with the SHA-256 of that file,
            or of a list of those of several; absent where it is not known.
        plugins: Versions of the packages whose plug-ins were loaded.
        left_out: Tables of the whole run that are missing though they were asked for, each with
            the reason.
        warnings: What a reader must know beforehand, in the order in which it arose.
    """

    format: Literal["saereport-run"] = "saereport-run"
    schema_version: Literal[2] = 2
    saereport_version: str
    fingerprint: Sha256
    title: str
    config: dict[str, Any]
    model: ModelInfo
    text: TextInfo
    saes: Annotated[tuple[SaeInfo, ...], Field(max_length=MOST_SAES, fail_fast=True)]
    tables: Annotated[dict[str, TableInfo], Field(max_length=1024)]
    libraries: dict[str, str]
    inputs: dict[str, dict[str, str]] | None = None
    plugins: dict[str, str] = Field(default_factory=dict)
    left_out: dict[str, str] = Field(default_factory=dict)
    warnings: Annotated[tuple[RunWarning, ...], Field(max_length=4096, fail_fast=True)] = ()
    memory: MemoryProfile | None = None
    files: Annotated[tuple[FileInfo, ...], Field(fail_fast=True)] = ()

    def warnings_of(self, slug: str) -> tuple[RunWarning, ...]:
        """The warnings that the reader of an SAE's pages needs: its own, and those about all."""
        return tuple(warning for warning in self.warnings if warning.about in ("", slug))

    @property
    def is_imported(self) -> bool:
        """Whether it was made of other tools' files, which say less than a measurement."""
        return "imported" in self.config

    def sae(self, slug: str) -> SaeInfo:
        """The SAE with this slug.

        Raises:
            SaereportError: There is none; names those that are alike.
        """
        for sae in self.saes:
            if sae.slug == slug:
                return sae
        raise SaereportError(
            f"The run has no SAE '{slug}'.", named_or_near(slug, [sae.slug for sae in self.saes])
        )
