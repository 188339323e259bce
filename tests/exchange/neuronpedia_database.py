"""What Neuronpedia's database asks of the files that its import takes, on a small scale.

Columns, what must not be absent, and what must be known already, as the published schema of the
database has them. Files of models, source sets and sources are taken row by row and may have no
column that the table lacks; of the other files the first line's columns are taken, and no others.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]
USER = "clkht01d40000jv08hvalcvly"


@dataclass(frozen=True)
class Table:
    """A table: columns, those that must be given, its key, and columns that name other rows."""

    columns: str
    required: str
    key: tuple[str, ...]
    refers: dict[tuple[str, ...], tuple[str, tuple[str, ...]]] = field(default_factory=dict)


USERS = ("User", ("id",))
TABLES = {
    "User": Table("id", "id", ("id",)),
    "ExplanationModelType": Table("name", "name", ("name",)),
    "ExplanationType": Table("name", "name", ("name",)),
    "Model": Table(
        "id displayNameShort displayName creatorId tlensId openRouterId dimension thinking "
        "visibility defaultSourceSetName defaultSourceId defaultGraphSourceSetName "
        "inferenceEnabled instruct layers neuronsPerLayer createdAt owner updatedAt website",
        "id creatorId layers neuronsPerLayer owner",
        ("id",),
        {("creatorId",): USERS},
    ),
    "SourceSet": Table(
        "modelId name hasDashboards allowInferenceSearch visibility description type creatorName "
        "urls creatorEmail creatorId releaseName hasGraphs graphEnabled similarityMatrixEnabled "
        "defaultOfModelId defaultGraphModelId defaultRange defaultShowBreaks showDfa "
        "showCorrelated showHeadAttribution showUmap createdAt",
        "modelId name description creatorName creatorId",
        ("modelId", "name"),
        {("creatorId",): USERS, ("modelId",): ("Model", ("id",))},
    ),
    "Source": Table(
        "id modelId hasDashboards inferenceEnabled saelensConfig saelensRelease saelensSaeId "
        "hfRepoId hfFolderId visibility defaultOfModelId setName creatorId hasUmap "
        "hasUmapLogSparsity hasUmapClusters num_prompts num_tokens_in_prompt dataset notes "
        "cosSimMatchModelId cosSimMatchSourceId createdAt",
        "id modelId setName creatorId",
        ("modelId", "id"),
        {("creatorId",): USERS, ("modelId", "setName"): ("SourceSet", ("modelId", "name"))},
    ),
    "Neuron": Table(
        "modelId layer index sourceSetName creatorId createdAt maxActApprox hasVector vector "
        "vectorLabel vectorDefaultSteerStrength hookName topkCosSimIndices topkCosSimValues "
        "neuron_alignment_indices neuron_alignment_values neuron_alignment_l1 "
        "correlated_neurons_indices correlated_neurons_pearson correlated_neurons_l1 "
        "correlated_features_indices correlated_features_pearson correlated_features_l1 neg_str "
        "neg_values pos_str pos_values frac_nonzero freq_hist_data_bar_heights "
        "freq_hist_data_bar_values logits_hist_data_bar_heights logits_hist_data_bar_values "
        "decoder_weights_dist",
        "modelId layer index hasVector frac_nonzero",
        ("modelId", "layer", "index"),
        {
            ("creatorId",): USERS,
            ("modelId", "layer"): ("Source", ("modelId", "id")),
            ("modelId", "sourceSetName"): ("SourceSet", ("modelId", "name")),
        },
    ),
    "Activation": Table(
        "id tokens dataIndex index layer modelId dataSource maxValue maxValueTokenIndex minValue "
        "values dfaValues dfaTargetIndex dfaMaxValue zQIndices zKIndices zValues creatorId "
        "createdAt lossValues logitContributions binMin binMax binContains qualifyingTokenIndex",
        "id index layer modelId maxValue maxValueTokenIndex minValue creatorId",
        ("id",),
        {
            ("creatorId",): USERS,
            ("modelId", "layer", "index"): ("Neuron", ("modelId", "layer", "index")),
        },
    ),
    "Explanation": Table(
        "id modelId layer index embedding description authorId triggeredByUserId notes scoreV1 "
        "scoreV2 umap_x umap_y umap_cluster umap_log_feature_sparsity typeName "
        "explanationModelName createdAt updatedAt",
        "id modelId layer index description authorId",
        ("id",),
        {
            ("authorId",): USERS,
            ("modelId", "layer", "index"): ("Neuron", ("modelId", "layer", "index")),
            ("typeName",): ("ExplanationType", ("name",)),
            ("explanationModelName",): ("ExplanationModelType", ("name",)),
        },
    ),
}


class Refused(Exception):
    """The database would not take a row."""


class Database:
    """Rows by table and key, of a Neuronpedia that was just set up."""

    def __init__(self, labellers: tuple[str, ...], label_kinds: tuple[str, ...]) -> None:
        self.rows: dict[str, dict[tuple[Any, ...], Row]] = {name: {} for name in TABLES}
        self.insert("User", {"id": USER})
        for table, names in (("ExplanationModelType", labellers), ("ExplanationType", label_kinds)):
            for name in names:
                self.insert(table, {"name": name})

    def insert(self, name: str, row: Row) -> None:
        table = TABLES[name]
        for column in table.required.split():
            if row.get(column) is None:
                raise Refused(f"{name}: '{column}' is not given")
        for columns, (other, keys) in table.refers.items():
            value = tuple(row.get(column) for column in columns)
            if None not in value and not self.known(other, dict(zip(keys, value, strict=True))):
                raise Refused(f"{name}: no {other} {value}")
        key = tuple(row[column] for column in table.key)
        if key in self.rows[name]:
            raise Refused(f"{name}: {key} twice")
        self.rows[name][key] = row

    def known(self, name: str, wanted: Row) -> bool:
        return tuple(wanted[column] for column in TABLES[name].key) in self.rows[name]

    def load(self, folder: Path) -> None:
        """The import of a source's folder."""
        for file, name in (
            ("model.jsonl", "Model"),
            ("sourceset.jsonl", "SourceSet"),
            ("source.jsonl", "Source"),
        ):
            for line in (folder / file).read_text("ascii").splitlines():
                row = json.loads(line)
                if strange := set(row) - set(TABLES[name].columns.split()):
                    raise Refused(f"{name}: no column {strange}")
                if not self.known(name, row):
                    self.insert(name, row)
        for kind, name in (
            ("features", "Neuron"),
            ("activations", "Activation"),
            ("explanations", "Explanation"),
        ):
            for path in sorted((folder / kind).glob("*.jsonl.gz")):
                self.load_lines(name, gzip.decompress(path.read_bytes()).decode())

    def load_lines(self, name: str, text: str) -> None:
        # What the database cannot hold is blanked out before the lines are parsed.
        lines = text.replace("\\u0000", " ").strip().split("\n")
        columns = set(json.loads(lines[0])) & set(TABLES[name].columns.split())
        for line in lines:
            row = {key: value for key, value in json.loads(line).items() if key in columns}
            json.dumps(row, ensure_ascii=False).encode()  # half a character is none
            self.insert(name, row)
