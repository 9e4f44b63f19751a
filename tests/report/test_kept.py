"""The tables of what is kept between runs: the zoo and the store."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from ktlight.report.store import print_entries
from ktlight.report.zoo import print_models

MODEL = {
    "name": "test_vit-20bf8e3d", "model": "tf_efficientnet_lite0.in1k", "data": "imagefolder-photos", "epochs": 20,
    "seed": 3, "acc": 52.404, "holdout": 0.1, "parameters": 4_652_008, "bytes": 18_600_000,
    "created": "2026-11-24T10:00:00",
}  # fmt: skip
ENTRY = {
    "model": "tf_efficientnet_lite0.in1k", "weights": "1234567890", "data": "abcdef0123", "form": "float32",
    "precision": "32-true", "view": 0, "rows": 50_000, "columns": 1_000, "bytes": 200_000_000, "used": 0.0,
}  # fmt: skip


def assert_shown(lines: Sequence[str], width: int, *parts: str) -> None:
    table = [line.rstrip() for line in lines[1:-1]]
    assert all(len(line) <= width for line in table) and "…" not in "".join(table)
    for part in parts:
        assert any(part in line.split() for line in table), part


@pytest.mark.parametrize("width", [80, 180])
def test_models_of_the_zoo(width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_models([MODEL], Path("[zoo]"))
    lines = capsys.readouterr().out.splitlines()
    assert "[zoo]" in lines[0] and "student.checkpoint=zoo:NAME" in lines[-1]
    assert_shown(lines, width, "test_vit-20bf8e3d", "20", "3", "52.40", "10%")
    if width == 180:
        assert_shown(lines, width, "imagefolder-photos", "4,652,008", "18.6", "2026-11-24")


@pytest.mark.parametrize("width", [80, 180])
def test_entries_of_the_store(width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_entries([ENTRY, {**ENTRY, "view": 1}, {**ENTRY, "view": -1, "rows": 1437}], Path("store"))
    lines = capsys.readouterr().out.splitlines()
    assert_shown(
        lines, width, "tf_efficientnet_lite0.in1k", "12345678", "abcdef01", "2", "50000", "400.00", "test", "1437"
    )
    assert lines[-1] == "3 entries, 0.600 GB"
    print_entries([], Path("store"))
    assert "0 entries" in capsys.readouterr().out
