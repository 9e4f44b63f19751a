import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from ktlight.errors import UserError
from ktlight.report.folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def write(folder: RunFolder, *names: str) -> None:
    for name in names:
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / name).write_text(name)


def test_nothing_is_set_aside_in_a_new_folder(folder: RunFolder) -> None:
    write(folder, ".hydra/config.yaml", "run.log")
    assert folder.set_aside() is None
    assert sorted(path.name for path in folder.path.iterdir()) == [".hydra", "run.log"]


def test_each_earlier_run_is_set_aside_in_a_folder_of_its_own(folder: RunFolder) -> None:
    for number in (1, 2, 3):
        write(folder, ".hydra/config.yaml", "run.log", "results.json", "student/model.safetensors", f"mark{number}")
        assert folder.set_aside() == folder.path / f"previous-{number}"
    for number in (1, 2, 3):
        kept = {path.name for path in (folder.path / f"previous-{number}").iterdir()}
        assert kept == {"results.json", "student", f"mark{number}"}
    assert folder.results is None


def test_results_end_a_run(folder: RunFolder) -> None:
    write(folder, "checkpoints/last.ckpt")
    assert folder.results is None
    folder.write_results({"acc": 12.5, "rate": None})
    assert folder.results == {"acc": 12.5, "rate": None}
    assert not folder.checkpoint.parent.exists()


def test_results_that_are_no_numbers_are_never_written(folder: RunFolder) -> None:
    write(folder, "checkpoints/last.ckpt")
    with pytest.raises(ValueError, match="JSON compliant"):
        folder.write_results({"acc": float("nan")})
    assert folder.results is None and folder.checkpoint.exists()


def test_a_run_is_resumed_with_its_own_config_only(folder: RunFolder) -> None:
    folder.write_config("lr: 0.1\nidentity:\n  student: abc\n")
    folder.write_config("lr: 0.2\nidentity:\n  student: abc\n")  # nothing was computed with the first one
    write(folder, "checkpoints/last.ckpt")
    folder.write_config("lr: 0.2\nidentity:\n  student: abc\n")
    for other in ("lr: 0.3\nidentity:\n  student: abc\n", "lr: 0.2\nidentity:\n  student: def\n"):
        with pytest.raises(UserError, match="another config"):
            folder.write_config(other)
    assert folder.config_file.read_text() == "lr: 0.2\nidentity:\n  student: abc\n"


def test_a_stage_that_was_begun_holds_the_config_too(folder: RunFolder) -> None:
    folder.write_config("lr: 0.1\n")
    write(folder, "stages/1-teacher2/checkpoints/last.ckpt")
    with pytest.raises(UserError, match="another config"):
        folder.write_config("lr: 0.2\n")
    folder.write_results({})
    assert not folder.checkpoints and not list(folder.path.rglob("*.ckpt"))


def test_the_config_of_a_finished_run_is_compared_without_its_identity(folder: RunFolder) -> None:
    folder.write_config("lr: 0.2\nseed: 0\nidentity:\n  student: abc\n")
    folder.check_config("lr: 0.2\nseed: 0\n")
    for other in ("lr: 0.2\nseed: 1\n", "lr: 0.3\nseed: 0\n", "seed: 0\n"):
        with pytest.raises(UserError, match="another config"):
            folder.check_config(other)


def test_predictions_are_columns_of_integers(folder: RunFolder) -> None:
    folder.write_predictions({"index": torch.arange(3), "before": torch.tensor([2, 0, 1])})
    table = pq.read_table(folder.path / "predictions.parquet")
    assert table.to_pydict() == {"index": [0, 1, 2], "before": [2, 0, 1]}
    assert {str(field.type) for field in table.schema} == {"int64"}


def test_the_environment_names_the_versions(folder: RunFolder) -> None:
    folder.write_environment()
    facts = json.loads((folder.path / "environment.json").read_text())
    assert (
        facts["packages"]["torch"] == torch.__version__.partition("+")[0]
        or facts["packages"]["torch"] == torch.__version__
    )
    assert {"command", "python", "platform", "threads", "gpus"} <= facts.keys()
