"""The files of a discovery: what is written is read again, and nothing of another version."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ktlight.errors import UserError
from ktlight.report.discovery import SCHEMAS, named, read_discovery, write_facts, write_table
from ktlight.report.discovery_facts import DISCOVERY, Facts


def facts(**changes: Any) -> Facts:
    values: dict[str, Any] = dict.fromkeys(Facts.__required_keys__)
    return {**values, "schema": DISCOVERY, **changes}  # type: ignore[return-value,typeddict-item]


def test_written_is_read(tmp_path: Path) -> None:
    write_facts(tmp_path, facts(data="digits"))
    block = {"teacher": named([0, 1], ["a", "b"]), "student": named([1, 0], ["a", "b"]), "index": [3, 4]}
    write_table(tmp_path, "examples", [block, block])
    discovery = read_discovery(tmp_path)
    assert discovery.facts["data"] == "digits"
    assert discovery.table("examples", ["index"]).to_pydict() == {"index": [3, 4, 3, 4]}
    assert discovery.table("examples").to_pydict()["teacher"] == ["a", "b", "a", "b"]


def test_what_is_not_a_number_is_null(tmp_path: Path) -> None:
    columns = {field.name: [None] for field in SCHEMAS["pairs"]} | {"flip_entropy": [float("nan")]}
    write_table(tmp_path, "pairs", [columns])
    assert pq.read_table(tmp_path / "pairs.parquet").to_pylist()[0]["flip_entropy"] is None


def test_a_table_without_rows_has_its_columns(tmp_path: Path) -> None:
    write_table(tmp_path, "classes", [])
    assert pq.read_table(tmp_path / "classes.parquet").schema.equals(SCHEMAS["classes"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "holds no finished discovery"),
        ("{", "cannot be read"),
        ("[]", "has schema None, and this version of ktlight reads schema 1"),
        (json.dumps({"schema": 99}), "has schema 99, and this version of ktlight reads schema 1"),
        (json.dumps({"schema": DISCOVERY}), "lacks baseline, best_pairs"),
    ],
)
def test_refused(text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "discovery.json").write_text(text)
    with pytest.raises(UserError, match=message):
        read_discovery(tmp_path)


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    write_facts(tmp_path, facts())
    (tmp_path / "pairs.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"pairs\.parquet cannot be read.*run the discovery again"):
        read_discovery(tmp_path).table("pairs")
