"""The files of a discovery, their schema and its version, shared by writers and readers.

One discovery is in one run folder. Figures are in percent unless noted otherwise; a field is null where there is no
figure: everything that needs labels with ``discovery.labels=false``, an entropy or a kappa that is not defined.

==================== =================================================================================================
discovery.json       `ktlight.report.discovery_facts.Facts`: what was asked and what was found
models.parquet       a row a model, those that could not be asked too, with the reason
pairs.parquet        a row an ordered pair of models
classes.parquet      a row a pair and class with positive flips: how many
expertise.parquet    a row a model and class: what the model is good at beyond the class being easy
predictions.parquet  a row a sample: ``index``, ``label`` (if known), each model's ``MODEL`` and ``MODEL_confidence``
examples.parquet     up to 4 positive flips of a pair, those where the teacher is surest in comparison first
images.parquet       thumbnails of the examples' images, JPEG, as far as the budget goes
==================== =================================================================================================
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from ktlight.errors import UserError
from ktlight.report.discovery_facts import DISCOVERY, Facts
from ktlight.report.files import write_atomically, write_text

FACTS = "discovery.json"
TOP_PERCENTS = (2, 5, 20, 50)
"""The p of the top-p% classes."""

NAME = pa.string()
PERCENT = pa.float64()

SCHEMAS: dict[str, pa.Schema] = {
    "models": pa.schema(
        [
            ("model", pa.string()),  # unique: the user's name, numbered where it occurs more than once
            ("acc", PERCENT),
            ("num_params", pa.int64()),
            ("architecture", pa.string()),  # timm's name
            ("family", pa.string()),  # the module that defines it, such as vision_transformer
            ("weights", pa.string()),  # SHA-256
            ("provenance", pa.string()),  # where the weights came from, in words
            ("labels", pa.string()),  # how its classes were mapped to the data's, in words; null if they are the same
            ("baseline", pa.bool_()),  # randomly initialised: shows what is there by chance
            ("reason", pa.string()),  # why it was not asked; null for the models of pairs.parquet
        ]
    ),
    "pairs": pa.schema(
        [
            ("teacher", NAME),
            ("student", NAME),
            ("acc_teacher", PERCENT),
            ("acc_student", PERCENT),
            ("positive_flips", PERCENT),  # only the teacher is right: its complementary knowledge
            ("positive_flips_ci95_low", PERCENT),
            ("positive_flips_ci95_high", PERCENT),
            ("negative_flips", PERCENT),  # only the student is right
            ("acc_difference_ci95_low", PERCENT),  # of acc_teacher - acc_student = positive - negative flips
            ("acc_difference_ci95_high", PERCENT),
            ("flip_entropy", pa.float64()),  # of the classes of the positive flips, in nats
            ("top20_classes", pa.list_(NAME)),  # the fewest classes that hold 20% of the positive flips
            *((f"num_top{percent}_classes", pa.int32()) for percent in TOP_PERCENTS),
            ("relatedness", pa.float64()),  # of the top-20% classes, in standard deviations above all pairs of classes
            ("error_consistency", pa.float64()),  # kappa: 1 always right or wrong together, 0 as chance has it
            ("agreement", PERCENT),  # both predict the same class
            ("class_drift", PERCENT),  # total variation of the distributions of predicted classes
            ("acc_ensemble", PERCENT),  # of the more confident of the two
            ("acc_ensemble_mean", PERCENT),  # of their mean probability; null where all logits do not fit the budget
            ("acc_oracle", PERCENT),  # either is right
        ]
    ),
    "classes": pa.schema(
        [
            ("teacher", NAME),
            ("student", NAME),
            ("class", NAME),
            ("class_index", pa.int32()),
            ("positive_flips", pa.int32()),  # samples
            ("expertise", pa.bool_()),  # of the teacher
        ]
    ),
    "expertise": pa.schema(
        [
            ("model", NAME),
            ("class", NAME),
            ("class_index", pa.int32()),
            ("acc", PERCENT),
            ("excess", pa.float64()),  # points above the mean of the models
            ("p_value", pa.float64()),  # adjusted over the classes of the model (Benjamini-Hochberg)
            ("expertise", pa.bool_()),  # better than the mean, at a false discovery rate of 5%
        ]
    ),
    "examples": pa.schema([("teacher", NAME), ("student", NAME), ("index", pa.int64())]),
    "images": pa.schema([("index", pa.int64()), ("jpeg", pa.binary())]),
}
"""Columns of the parquet files by name; those of ``predictions.parquet`` depend on the models."""


@dataclass(frozen=True)
class Discovery:
    """A discovery as read from its folder; tables are read when they are asked for.

    Attributes:
        folder: The folder.
        facts: What ``discovery.json`` says.
    """

    folder: Path
    facts: Facts

    def table(self, name: str, columns: Sequence[str] | None = None, **where: str) -> pa.Table:
        """Return one of the tables, ``pairs`` for instance, or some of its columns and rows.

        Args:
            name: Of the table.
            columns: Names of the columns; all if None.
            where: The value that a column has in the rows to return.

        Raises:
            UserError: If the file is missing or damaged.
        """
        file = self.folder / f"{name}.parquet"
        try:
            return pq.read_table(
                file,
                columns=None if columns is None else list(columns),
                filters=[(column, "==", value) for column, value in where.items()] or None,
            )
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{file} cannot be read ({error}): run the discovery again") from error


def read_discovery(folder: Path) -> Discovery:
    """Read the discovery in a folder.

    Raises:
        UserError: If there is none, or it is damaged or of another schema version.
    """
    file = folder / FACTS
    try:
        facts = json.loads(file.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{folder} holds no finished discovery: python run.py task=discover 'models=[...]'") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error}): run the discovery again") from error
    version = facts.get("schema") if isinstance(facts, dict) else None
    if version != DISCOVERY:
        raise UserError(f"{file} has schema {version}, and this version of ktlight reads schema {DISCOVERY}")
    if missing := Facts.__required_keys__ - facts.keys():
        raise UserError(f"{file} lacks {', '.join(sorted(missing))}: run the discovery again")
    return Discovery(folder, cast(Facts, facts))


def write_facts(folder: Path, facts: Facts) -> None:
    """Write ``discovery.json``, the last of the files: its presence says that the discovery is whole."""
    write_text(folder / FACTS, json.dumps(facts, indent=2, allow_nan=False) + "\n")


def write_table(folder: Path, name: str, blocks: Iterable[Mapping[str, Any]]) -> None:
    """Write one of the tables, block by block, with the columns of its schema; NaN becomes null."""
    schema = SCHEMAS[name]

    def write(file: Path) -> None:
        with pq.ParquetWriter(file, schema) as writer:
            for columns in blocks:
                arrays = [_array(columns[field.name], field.type) for field in schema]
                writer.write_table(pa.table(arrays, schema=schema))

    write_atomically(folder / f"{name}.parquet", write)


def named(numbers: Any, names: Sequence[str]) -> pa.Array:
    """Return a column of names that are given by their numbers."""
    return pa.array(names, NAME).take(pa.array(numbers))


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, kind, from_pandas=True)
