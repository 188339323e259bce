"""What is measured: a model, an SAE of its, and a text, loaded once and read again and again."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from saereport.config.build import BuildConfig, make_config
from saereport.config.selection import parse_selection, tracked_latents
from saereport.pipeline.context import Chosen, Context, Loaded
from saereport.pipeline.fingerprint import identity_of, parts_of
from saereport.pipeline.running import run_stages
from saereport.pipeline.stage import stages
from saereport.pipeline.text import RunText, run_text
from saereport.pipeline.text_pass import Batches
from saereport.pipeline.timing import Stopwatch
from saereport.pipeline.warned import Warned
from saereport.pipeline.write import TableSink
from saereport.sources.demo import demo_saes
from saereport.sources.model_loading import load_model
from saereport.sources.models import LanguageModel
from saereport.sources.saes.loading import load_sae
from saereport.sources.saes.sae import Sae
from saereport.sources.saes.source import SaeSource
from saereport.sources.text.opening import open_text
from saereport.sources.text.packing import Packed
from saereport.sources.text.tokenised import TokenStore
from saereport.util.progress import Progress

QUIET = Progress(quiet=True)


@dataclass(frozen=True)
class Subject:
    """A model and an SAE, and a text for both.

    Attributes:
        name: The SAE's id.
        model, sae: Loaded.
        config, text: As a build has them.
        packed: The text's sequences, in the batches that the device takes.
    """

    name: str
    model: LanguageModel
    sae: Sae
    config: BuildConfig
    text: RunText
    packed: list[Packed]

    @property
    def n_tokens(self) -> int:
        """Tokens of the text."""
        return sum(block.tokens.size for block in self.packed)

    def forward(self, reader: Any = None, *, most: int | None = None) -> None:
        """The forward pass alone, by what reads a text or by what is given."""
        for block in self.packed[:most]:
            tokens = torch.from_numpy(block.tokens.astype(np.int64))
            (reader or self.model.reader).run(tokens, [self.sae.hook_in.name])
        self.wait()

    def wait(self) -> None:
        """Until the device has done what it was asked."""
        if self.model.device.type == "cuda":
            torch.cuda.synchronize()

    def collect(self, words: str, *, weights: bool = True) -> Mapping[str, float]:
        """Read the text for latents and write its tables, those of weights too: seconds of each."""
        selection = parse_selection(words)
        tracked = tracked_latents(selection, self.sae.d_sae, 0)
        slug = self.sae.slug
        rules = self.text.rules
        identity = identity_of(
            self.config, [self.sae], self.model, self.text.text, rules.context_size, added={}
        )
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder) / "work"
            context = Context(
                config=self.config,
                loaded=Loaded(self.model, {slug: self.sae}),
                text=replace(self.text, store=TokenStore(work / "text", {})),
                chosen={slug: Chosen(selection, tracked, ())},
                batches=Batches("auto", rules.context_size, self.model.device, QUIET),
                work=work,
                identity=identity,
                parts=parts_of(identity),
                progress=QUIET,
                warned=Warned(),
            )
            # Tokenising is no part of what is measured: it is done once for all.
            context.text.tokenised(QUIET)
            watch = Stopwatch()
            with TableSink(Path(folder) / "run", context) as sink:
                names = ("statistics", "weights") if weights else ("statistics",)
                run_stages(context, [stages()[name] for name in names], sink, watch.stage)
                with watch.stage("weights"):
                    sink.finish("benchmark", None)
        self.wait()
        return watch.seconds


def subject(sae_id: str | None, tokens: int, device: str = "cpu") -> Subject:
    """The demo's model and one of its SAEs, a residual one by default."""
    saes = demo_saes()
    name = sae_id or next(key for key in saes if "resid" in key)
    model = load_model("demo", device=device)
    sae = load_sae(SaeSource(path=str(saes[name])), device=device)
    config = make_config({"saes": [{"path": saes[name]}], "dataset": "demo", "tokens": tokens})
    text = run_text(config, open_text("demo"), [sae], model, Warned())
    batches = Batches("auto", text.rules.context_size, model.device, QUIET)
    return Subject(name, model, sae, config, text, list(text.packed(batch=batches.block)))


def seconds(work: Any) -> float:
    """Wall seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
