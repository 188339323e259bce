"""The outside world: language models, SAEs and transcoders, texts, and the embedded demo.

Everything here knows other people's libraries and formats, and nothing here knows statistics,
files of a run, or HTML. Each module turns one kind of outside thing into one small type:

| module | type | what it hides |
|---|---|---|
| `hooks` | `HookPoint` | the spellings of hook names |
| `attaching` | modules | finding a wrapped model's modules by name, hooks that fire on demand |
| `locating` | `HookPoint` | what a hook point really holds in a family of models, measured |
| `models` | `LanguageModel` | HookedTransformer and TransformerBridge, early stopping |
| `model_loading` | `LanguageModel` | names, directories and GGUF |
| `model_checks` | errors | wrappers that compute something else, missing tokenisers |
| `model_faults` | errors | what the libraries say when a model cannot be loaded |
| `saes` | `Sae` | SAELens's architectures, loaders and metadata; a package of its own |
| `text` | `Text` | files, columns, encodings |
| `hub_text` | `Text` | datasets of the hub, and what may be followed there |
| `documents` | `Document` | rows and their attention masks |
| `packing` | `Packed` | tokenising, separators, padding, sequences of equal length |
| `tally` | `Tally` | nothing: it counts what becomes of documents |
| `training` | `TrainingTokens` | what metadata says of the tokens an SAE was trained on |
| `tokens` | bytes | what a vocabulary token is, byte for byte |
| `explanations` | labels | Neuronpedia's export and CSV |
| `hub` | errors | whether the Hugging Face hub can be reached |
| `quiet` | nothing | what the libraries print while they load |
| `devices` | device, dtype | what this machine has |

Nothing is imported here, so that importing one module does not load the libraries of another.
"""
