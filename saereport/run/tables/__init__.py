"""The tables of a run: what is stored, under which name, and what each column means.

This module is the contract between those who measure and those who read. A table is a Parquet
file with a fixed schema; its `definition` is the text that the report's methods page prints, so a
number and its meaning live in one place. To add a statistic, add its `Table` to a module below.

Conventions: `latent` is an index into the SAE's dictionary; token columns hold vocabulary ids;
`sequence` is the index of a packed sequence in the text and `position` the place in it (position 0
is the BOS token where there is one); lists are ordered best first. Rows are sorted by `key`.
"""

from __future__ import annotations

from saereport.run.registry import TABLES, register
from saereport.run.tables.absorption import ABSORPTION_TABLES
from saereport.run.tables.bias import BIAS_TABLES
from saereport.run.tables.capability import CAPABILITY_TABLES
from saereport.run.tables.circuits import PROMPT_TABLES
from saereport.run.tables.comparing import COMPARING_TABLES
from saereport.run.tables.geometry import GEOMETRY_TABLES
from saereport.run.tables.given import GIVEN_TABLES
from saereport.run.tables.graphs import BLIND_TABLES, EXAMPLE_TABLES, GRAPH_TABLES
from saereport.run.tables.interventions import INTERVENTION_TABLES
from saereport.run.tables.lens import LENS_TABLES
from saereport.run.tables.meta import META_TABLES
from saereport.run.tables.probing import PROBING_TABLES
from saereport.run.tables.steering import STEERING_TABLES
from saereport.run.tables.text import EXPLANATIONS, LABEL_FILES, QUANTILES, TEXT_TABLES
from saereport.run.tables.weights import WEIGHT_TABLES

for _table in (
    *TEXT_TABLES,
    *COMPARING_TABLES,
    *WEIGHT_TABLES,
    EXPLANATIONS,
    LABEL_FILES,
    *GIVEN_TABLES,
    *PROMPT_TABLES,
    *GRAPH_TABLES,
    *EXAMPLE_TABLES,
    *BLIND_TABLES,
    *CAPABILITY_TABLES,
    *PROBING_TABLES,
    *BIAS_TABLES,
    *ABSORPTION_TABLES,
    *STEERING_TABLES,
    *INTERVENTION_TABLES,
    *LENS_TABLES,
    *GEOMETRY_TABLES,
    *META_TABLES,
):
    register(_table)

__all__ = ["QUANTILES", "TABLES"]
