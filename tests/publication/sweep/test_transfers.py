import shutil
from pathlib import Path

from made import write_run

from tests.publication.grid import results, table, write_grid


def test_a_row_has_what_its_run_says(tmp_path: Path) -> None:
    write_run(tmp_path / "run", results("kl", "c", "b", 0, 2.0))
    row = table(tmp_path).iloc[0]
    assert row["teacher_kind"] == "mlp" and row["student_kind"] == "transformer" and row["student_params"] == 10_000
    assert row["difference"] == 10 and row["delta"] == 2 and (row["low"], row["high"]) == (1, 3)
    assert (
        row["gain"] - row["loss"] == row["delta"] and row["method"] == "kl" and row["folder"] == str(tmp_path / "run")
    )


def test_methods_are_told_apart_by_the_options_that_differ(tmp_path: Path) -> None:
    for number, lr in enumerate(("0.1", "0.2")):
        options = (f"optim.lr={lr}", f"student.checkpoint={number}.pt", "data.root=here", "logger=wandb")
        write_run(tmp_path / f"kl-{lr}", results("kl", "c", "b", 0, float(lr)), *options)
    write_run(tmp_path / "dp", results("kl_dp", "c", "b", 0, 1.0), "trainer.max_epochs=3")
    labels = [f"kl lr={lr} checkpoint={number}.pt" for number, lr in enumerate(("0.1", "0.2"))]
    assert sorted(table(tmp_path)["method"]) == [*labels, "kl_dp"]


def test_options_that_the_model_explains_make_no_other_method(tmp_path: Path) -> None:
    for student in "ab":
        write_run(tmp_path / student, results("kl", "c", student, 0, 1.0), f"student.checkpoint={student}.pt")
    assert set(table(tmp_path)["method"]) == {"kl"}


def test_a_run_that_repeats_another_counts_once(tmp_path: Path) -> None:
    write_grid(tmp_path / "first")
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    assert len(table(tmp_path)) == 16


def test_data_are_told_apart_by_their_identity(tmp_path: Path) -> None:
    for name, identity in (("one", "aaaaaaaa11"), ("two", "bbbbbbbb22")):
        folder = write_run(tmp_path / name, results("kl", "c", "b", 0, 1.0))
        (folder / "config.yaml").write_text(f"seed: 0\nidentity:\n  data: {identity}\n  student: cc\n")
    write_run(tmp_path / "held out", results("kl", "c", "b", 0, 1.0, evaluated_on="holdout"))
    assert sorted(table(tmp_path)["samples"]) == [
        "digits, 1437 held-out training images",
        "digits, 1437 samples of aaaaaaaa",
        "digits, 1437 samples of bbbbbbbb",
    ]


def test_several_teachers_have_no_size(tmp_path: Path) -> None:
    run = results("kl", "c", "b", 0, 1.0)
    run["models"] = {"student": run["models"]["student"], "teacher1": run["models"]["teacher"]}
    write_run(tmp_path / "run", run | {"teacher": "a+c"})
    row = table(tmp_path).iloc[0]
    assert row["teacher"] == "a+c" and row["teacher_kind"] is None and row["student_kind"] == "transformer"


def test_no_transfers_make_an_empty_table(tmp_path: Path) -> None:
    assert table(tmp_path).empty
