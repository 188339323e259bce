"""Sparse autoencoders and transcoders: naming one, loading it, and what it is afterwards.

| module | what it holds |
|---|---|
| `source` | `SaeSource`: which SAE, and its slug |
| `sae` | `Sae`: what an SAE is to the rest of the program |
| `architectures` | how each architecture encodes and decodes, in an open registry |
| `normalizing` | directions through what an SAE does to activations at run time |
| `loading`, `hub` | SAELens's loaders, from disk and from the Hugging Face hub |
| `sets`, `asking`, `layers` | sets of transcoders, of which a layer is an SAE |
| `config`, `shapes` | what a `cfg.json` and a weights file say, checked before anything is built |
| `scaling` | scaling and whitening of the training, folded into the weights |
| `names` | whether everything that names an SAE means the same |
| `magnitudes` | weights that no report can be made of |

`source`, `config`, `shapes`, `sets` and `architectures` do without torch: the checks at the door
use them. Nothing is imported here.
"""
