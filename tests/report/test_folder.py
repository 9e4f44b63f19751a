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


RUN = ("config.yaml", "environment.json", "results.json", "student/model.safetensors", "pretrain-teacher/results.json")


def test_each_earlier_run_is_set_aside_in_a_folder_of_its_own(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        folder = RunFolder(tmp_path)
        write(folder, ".hydra/config.yaml", "run.log", "wandb/offline-run-1/run.wandb", "wandb_id.txt", *RUN)
        assert folder.set_aside() == tmp_path / f"previous-{number}"
        write(folder, "results.json")
        folder.set_aside()  # what this run itself has written stays
        assert (tmp_path / "results.json").exists()
        (tmp_path / "results.json").unlink()
    for number in (1, 2, 3):
        kept = {path.name for path in (tmp_path / f"previous-{number}").iterdir()}
        assert kept == {name.partition("/")[0] for name in RUN}
    assert RunFolder(tmp_path).results is None
    assert (tmp_path / "wandb_id.txt").exists()  # it is the folder's
    assert (tmp_path / "wandb" / "offline-run-1" / "run.wandb").exists()  # `wandb sync` finds it where it was


def test_numbers_of_earlier_runs_go_on_after_the_largest(folder: RunFolder) -> None:
    write(folder, "results.json", "previous-2/results.json")
    assert folder.set_aside() == folder.path / "previous-3"


def test_what_a_killed_run_had_not_renamed_goes_with_it(folder: RunFolder) -> None:
    write(folder, "results.json", ".results.json.123", ".student-0123abcd/model.safetensors", ".curves.csv.5")
    aside = folder.set_aside()
    assert aside and {path.name for path in aside.iterdir()} == {
        "results.json", ".results.json.123", ".student-0123abcd", ".curves.csv.5",
    }  # fmt: skip


def test_only_what_a_run_writes_is_set_aside(folder: RunFolder) -> None:
    write(folder, ".git/HEAD", "src/main.py", "notes.txt", "results.json", "students")
    folder.set_aside()
    left = {path.name for path in folder.path.iterdir()}
    assert left == {".git", "src", "notes.txt", "students", "previous-1"}


def test_of_a_run_that_computed_nothing_nothing_is_kept(folder: RunFolder) -> None:
    write(folder, "config.yaml", "environment.json", "curves.csv")
    assert folder.set_aside() is None and not list(folder.path.iterdir())


def test_a_config_of_somebody_else_is_kept(folder: RunFolder) -> None:
    write(folder, "config.yaml")
    aside = folder.set_aside()
    assert aside and (aside / "config.yaml").exists()


@pytest.mark.parametrize(
    ("earlier", "config", "more", "same"),
    [
        ({"acc": 1.0, "seconds": {"load": 1.0}}, "lr: 1\n", [], True),
        ({"acc": 2.0, "seconds": {"load": 2.0}}, "lr: 1\n", [], False),
        ({"acc": 1.0}, "lr: 2\n", [], False),
        ({"acc": 1.0}, "lr: 1\n", ["tensorboard/events"], False),
        (None, "lr: 1\n", ["checkpoints/last.ckpt"], False),
    ],
)
def test_an_earlier_run_that_came_to_the_same_is_not_kept(
    earlier: object, config: str, more: list[str], same: bool, folder: RunFolder
) -> None:
    write(folder, "config.yaml", *more)
    folder.config_file.write_text(config)
    if earlier:
        folder.results_file.write_text(json.dumps(earlier))
    folder.set_aside()
    folder.write_config("lr: 1\n")
    folder.write_results({"acc": 1.0, "seconds": {"load": 2.0}})
    assert folder.drop_duplicate() is same
    assert (folder.path / "previous-1").exists() is not same


def test_the_record_of_a_model_trained_on_the_spot_outlives_a_repetition(folder: RunFolder) -> None:
    write(folder, "config.yaml", "pretrain-student/curves.csv")
    folder.write_config("lr: 1\n")
    folder.write_results({"acc": 1.0})
    repetition = RunFolder(folder.path)
    repetition.set_aside()
    repetition.write_config("lr: 1\n")
    repetition.write_results({"acc": 1.0})
    assert repetition.drop_duplicate()
    assert {path.name for path in folder.path.iterdir()} == {"config.yaml", "results.json", "pretrain-student"}
    assert (folder.path / "pretrain-student" / "curves.csv").exists()


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
