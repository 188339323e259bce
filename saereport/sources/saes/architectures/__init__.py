"""How SAEs of each architecture encode and decode: a registry that is open to other packages.

An architecture is an encoder and a decoder. There is one class for each way to encode (`Relu`,
`JumpRelu`, `Gated`, `TopK`, …) and one for each way to decode (`Autoencoder`, `Transcoder`,
`SkipTranscoder`, `CrossLayer`); a JumpReLU transcoder with a skip connection is `JumpRelu` with
`SkipTranscoder`, and no class of its own. Nothing elsewhere asks what an architecture is called.

Another one is added by `register`, which takes what entry points of the group
`saereport.architectures` name; CONTRIBUTING.md says how. These modules do without torch when they
are imported, because what a folder must hold is asked before torch is loaded.
"""

from saereport.sources.saes.architectures import (
    gated,
    jumprelu,
    matching_pursuit,
    relu,
    temporal,
    topk,
)
from saereport.sources.saes.architectures.decoders import (
    Autoencoder,
    CrossLayer,
    CrossLayerSkip,
    Decoder,
    SkipTranscoder,
    Transcoder,
)
from saereport.sources.saes.architectures.encoders import Encoder, LatentByLatent
from saereport.sources.saes.architectures.gated import Gated
from saereport.sources.saes.architectures.jumprelu import JumpRelu
from saereport.sources.saes.architectures.registry import (
    ENTRY_POINTS,
    Architecture,
    Stored,
    architecture_of,
    register,
    stored_as,
    supported,
)
from saereport.sources.saes.architectures.relu import Relu
from saereport.sources.saes.architectures.topk import TopK

__all__ = [
    "ENTRY_POINTS",
    "Architecture",
    "Autoencoder",
    "CrossLayer",
    "CrossLayerSkip",
    "Decoder",
    "Encoder",
    "Gated",
    "JumpRelu",
    "LatentByLatent",
    "Relu",
    "SkipTranscoder",
    "Stored",
    "TopK",
    "Transcoder",
    "architecture_of",
    "register",
    "stored_as",
    "supported",
]

for _module in (relu, jumprelu, gated, topk, matching_pursuit, temporal):
    for _architecture in _module.ARCHITECTURES:
        register(_architecture)
