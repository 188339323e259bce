"""How a large model comes into memory: over several devices, or in fewer bits a weight.

Transformers does both, with accelerate and bitsandbytes. What neither can do here is refused
beforehand: TransformerLens's components read weights that must be where they are used, so nothing
can be left on the disk, and a file of quantised weights of another kind is read as it is.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from saereport.config.build import DEVICE_MAPS
from saereport.config.yaml_files import read_yaml
from saereport.util.errors import SaereportError, UsageError, shortened

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_PACKED: Final = ("Params4bit", "Int8Params")


@dataclass(frozen=True)
class Placement:
    """How a model comes into memory.

    Attributes:
        device_map: How it is spread over devices: a name that accelerate knows, or the device of
            each module; None for one device.
        quantize: `nf4`, `int8`, or empty for the weights as they are.
    """

    device_map: str | Mapping[str, str | int] | None = None
    quantize: str = ""

    def __bool__(self) -> bool:
        return bool(self.quantize) or self.device_map is not None

    def check_model(self, name: str) -> None:
        """Refuse a model that cannot be had so.

        Raises:
            UsageError: It is a GGUF file.
        """
        if self and name.endswith(".gguf"):
            option = "--quantize" if self.quantize else "--device-map"
            raise UsageError(
                f"A GGUF file is read into plain weights on one device; {option} cannot be used "
                "with it.",
                "Name the model's folder, or the model on the hub.",
            )

    def check_devices(self, device: torch.device) -> None:
        """Refuse what the devices of this machine cannot do.

        Args:
            device: Where the SAEs are, and where activations are brought.

        Raises:
            SaereportError: There is no CUDA device to quantise on, or fewer than are named.
        """
        import torch

        if self.quantize and device.type != "cuda":
            raise SaereportError(
                f"--quantize {self.quantize} needs a CUDA device, and the model is to be on "
                f"'{device.type}': bitsandbytes computes with packed weights there alone.",
                "Leave it out; --dtype bfloat16 halves the memory on any device.",
            )
        n = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if isinstance(self.device_map, str) and n < 2:
            raise SaereportError(
                f"--device-map {self.device_map} spreads a model over several CUDA devices, and "
                f"this machine has {n or 'none'}.",
                "Leave it out; --quantize nf4 or --dtype bfloat16 need less memory."
                if n
                else "Leave it out.",
            )
        for name in _values(self.device_map):
            index = _index_of(name)
            if index is not None and index >= n:
                raise SaereportError(
                    f"The device map names cuda:{index}, and this machine has {n or 'no'} CUDA "
                    f"device{'' if n == 1 else 's'}."
                )

    def check_processing(self, name: str, processing: Mapping[str, Any]) -> None:
        """Refuse to fold norms into packed weights, which an SAE's metadata may ask for.

        Raises:
            SaereportError: It is asked for.
        """
        if self.quantize and processing:
            raise SaereportError(
                f"The SAE's metadata ask for the model '{name}' with processed weights "
                f"({', '.join(sorted(processing))}), which packed weights cannot be.",
                "Leave out --quantize.",
            )

    def places(self, device: torch.device) -> dict[str, Any]:
        """What TransformerLens is told of where the weights go."""
        if self.device_map is not None:
            return {"device_map": self.device_map}
        return {"device_map": {"": str(device)}} if self.quantize else {"device": device}

    def options(self, dtype: torch.dtype) -> dict[str, Any]:
        """What Transformers is told besides, of the weights' bits.

        Args:
            dtype: The number format to compute in.
        """
        if not self.quantize:
            return {}
        from transformers import BitsAndBytesConfig

        if self.quantize == "int8":
            return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
        packed = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
        )
        return {"quantization_config": packed}


ONE_DEVICE: Final = Placement()
"""A model on one device, with its weights as they are."""


def placement_of(device_map: str | None, quantize: str | None) -> Placement:
    """What was asked for, checked as far as can be told without torch.

    Args:
        device_map: A name, or a YAML or JSON file that maps modules to devices.
        quantize: `nf4` or `int8`.

    Raises:
        UsageError: The map means nothing, or names what cannot hold weights.
        SaereportError: There is no such file, or a package is missing.
    """
    if quantize and find_spec("bitsandbytes") is None:
        raise SaereportError(
            f"--quantize {quantize} needs bitsandbytes.", "pip install 'saereport[quantize]'"
        )
    if (quantize or device_map) and find_spec("accelerate") is None:
        option = "--device-map" if device_map else "--quantize"
        raise SaereportError(f"{option} needs accelerate.", "pip install accelerate")
    if device_map is None or device_map in DEVICE_MAPS:
        return Placement(device_map, quantize or "")
    return Placement(_read_map(Path(device_map).expanduser()), quantize or "")


def _read_map(path: Path) -> dict[str, str | int]:
    if not path.is_file():
        raise SaereportError(
            f"There is no device map '{path}'.",
            f"It is {', '.join(DEVICE_MAPS)}, or a YAML or JSON file with the device of each "
            "module.",
        )
    found = read_yaml(path)
    if not isinstance(found, Mapping) or not found:
        raise UsageError(
            f"'{path.name}' maps no module to a device.", "A line of it reads 'model.layers.0: 1'."
        )
    devices: dict[str, str | int] = {}
    for module, device in found.items():
        numbered = isinstance(device, int) and not isinstance(device, bool) and device >= 0
        named = isinstance(device, str) and re.fullmatch(r"cpu|cuda(:\d+)?", device)
        if not isinstance(module, str) or not (numbered or named):
            raise _no_device(path, module, device)
        devices[module] = device
    if "cpu" in devices.values() and set(devices.values()) != {"cpu"}:
        raise UsageError(
            f"'{path.name}' puts a part of the model on the CPU and a part on CUDA devices, which "
            "TransformerLens cannot read.",
            "Put all of it on one kind of device; --quantize nf4 needs less memory.",
        )
    return devices


def _no_device(path: Path, module: Any, device: Any) -> UsageError:
    where = f"'{path.name}' puts {shortened(module, 60)} on {shortened(device, 40)}"
    if device in ("disk", "meta"):
        return UsageError(
            f"{where}: TransformerLens reads only weights that are in memory.",
            "Name a CUDA device by its number, or cpu for all of it.",
        )
    return UsageError(f"{where}, which is no device.", "A CUDA device is named by its number.")


def _values(device_map: Any) -> list[Any]:
    return list(device_map.values()) if isinstance(device_map, Mapping) else []


def _index_of(device: str | int) -> int | None:
    """The number of a CUDA device; None for the CPU."""
    if isinstance(device, int):
        return device
    return None if device == "cpu" else int(device.partition(":")[2] or 0)


@contextlib.contextmanager
def spreading(name: str) -> Iterator[None]:
    """Say what it means when a model does not fit onto the devices that it is spread over.

    Args:
        name: The model's name, for the message.
    """
    try:
        yield
    except ValueError as error:
        if not re.search(r"offload|hf_device_map|dispatched on the CPU", str(error)):
            raise
        raise SaereportError(
            f"The model '{name}' does not fit onto the devices that it would be spread over.",
            "Give --quantize nf4 or --dtype bfloat16, or more devices.",
        ) from error


def packing_of(model: nn.Module) -> str:
    """How the weights of a Hugging Face model were packed before they came here; empty if not."""
    return packing_of_config(getattr(model, "config", None))


def packing_of_config(config: Any) -> str:
    """The same, of a model's configuration."""
    from transformer_lens.utilities.quantization import quantization_method

    return quantization_method(config) or ""


def plain_weight(module: nn.Module) -> Tensor | None:
    """A module's packed weight as plain numbers, as it multiplies with; None where it is plain."""
    weight = module._parameters.get("weight")
    if type(weight).__name__ not in _PACKED:
        return None
    from transformers.integrations.bitsandbytes import dequantize_bnb_weight

    found: Tensor = dequantize_bnb_weight(weight, getattr(module, "state", None))
    return found.detach()
