"""From a finished reading to a run on disk: statistics and weights become tables.

SAEs are finished from the last to the first, because a later one is pulled back onto the earlier
ones; each is released when its tables are written, and the model after the last of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from saereport import __version__
from saereport.errors import SaereportError
from saereport.measure.batch import Columns
from saereport.measure.weights import WEIGHT_TABLES
from saereport.memory import MemoryProfiler
from saereport.progress import Progress
from saereport.reading import Reading, SaeReader
from saereport.run import TABLES, RunInfo, RunWriter, SaeInfo
from saereport.run.schema import L0, ModelInfo, TextInfo
from saereport.selection import Selection, shown_latents
from saereport.sources.models import LanguageModel
from saereport.sources.saes import Dictionary
from saereport.sources.text import Text
from saereport.sources.tokens import token_bytes

L0_BINS = 64

Labels = Mapping[int, Sequence[tuple[str, str]]]
"""Latent to its explanations, each with its source."""
