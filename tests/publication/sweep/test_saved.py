import csv
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import write_run

from ktlight.errors import UserError
from ktlight.publication.sweep.collection import collect
from ktlight.publication.sweep.publish import report_tables
from ktlight.publication.sweep.rows import COLUMNS, LATER, UNKNOWN, Row
from ktlight.publication.sweep.saved import saved_rows
from ktlight.publication.sweep.transfers import transfer_table
from ktlight.publication.tables import write_table
from tests.publication.grid import control, guarded, results, table, write_grid


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Runs of all sorts: seeds, a guard, controls, options, other data, several teachers, no training."""
    root = tmp_path / "runs"
    write_grid(root / "grid")
    write_grid(root / "other", {"kl": {("a", "b"): [1 / 3]}}, data="cifar10")
    write_grid(root / "ensemble", {"ensemble": {("a", "b"): [9.0]}}, epochs=0)
    control(root, "self_distill", {("c", "a"): 0.1 + 0.2, ("a", "b"): -1.0})
    write_run(root / "wise", guarded("kl_dp", "c", "b", 7, 2.0, -1.0, share=0.3), "guard=wise")
    kept = {"batchnorm": {"student": {"kept": True}}}
    write_run(root / "lr", results("kl", "c", "b", 0, 2.5) | kept, "optim.lr=0.1", "data.note='a, \"b\"'")
    several = results("kl", "c", "b", 0, 2.75) | {"teacher": "a+c", "transfer_rate": None}
    several["models"] = {"student": several["models"]["student"], "teacher1": {}, "teacher2": {}}
    write_run(root / "several", several)
    return root


def saved(root: Path, folder: Path) -> Path:
    write_table(table(root), folder, "runs")
    return folder / "runs.csv"


def test_tables_of_a_table_are_those_of_its_runs(folders: Path, tmp_path: Path) -> None:
    file = saved(folders, tmp_path)
    of_folders, of_table = (report_tables(each) for each in (collect([folders]), collect([], [file])))
    assert of_folders.keys() == of_table.keys()
    for name, expected in of_folders.items():
        assert of_table[name].to_csv() == expected.to_csv(), name
        pd.testing.assert_frame_equal(of_table[name], expected, check_exact=True)


def test_a_run_in_a_folder_and_in_tables_counts_once(folders: Path, tmp_path: Path) -> None:
    files = [saved(folders, tmp_path / "first"), saved(folders / "grid", tmp_path / "second")]
    alone, mixed = collect([folders]), collect([folders], files)
    pd.testing.assert_frame_equal(alone.runs, mixed.runs)
    assert mixed.repeated == (alone.runs["guard"] == "off").sum() + 16 and mixed.tables == files


def test_tables_of_earlier_versions_are_read_too(folders: Path, tmp_path: Path) -> None:
    file = saved(folders, tmp_path)
    runs = pd.read_csv(file)
    assert set(runs["batchnorm"].dropna()) == {"own"}
    runs.drop(columns="batchnorm").to_csv(file, index=False)
    assert {row["batchnorm"] for row in saved_rows(file)} == {None}


def test_methods_are_told_apart_over_all_files(tmp_path: Path) -> None:
    """In each file there is only one rate, so that its own label does not tell it."""
    files = []
    for number, lr in enumerate(("0.1", "0.2")):
        write_run(tmp_path / lr / "run", results("kl", "c", "b", 0, float(number)), f"optim.lr={lr}")
        files.append(saved(tmp_path / lr, tmp_path / f"table{number}"))
    assert set(collect([], files[:1]).runs["method"]) == {"kl"}
    assert list(collect([], files).runs["method"]) == ["kl lr=0.1", "kl lr=0.2"]


def test_what_is_no_table_of_runs_is_left_out_with_the_reason(folders: Path, tmp_path: Path) -> None:
    good = saved(folders, tmp_path)
    with good.open(newline="") as stream:
        rows = list(csv.DictReader(stream))

    def changed(name: str, **cells: str) -> Path:
        file = tmp_path / name
        with file.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows([rows[0], rows[1] | cells])
        return file

    others = {
        "other.csv": "time,student,delta\n1,a,2\n",
        "empty.csv": "",
        "short.csv": f"{','.join(COLUMNS)}\n1,2\n",
        "long.csv": f"{','.join(COLUMNS)}\n{'1,' * (len(COLUMNS) + 1)}\n",
        "quote.csv": f'{",".join(COLUMNS)}\n"1\n',
    }
    for name, text in others.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.csv").mkdir()
    files = {
        changed("delta.csv", delta="much"): "its line 3 has delta='much', which is no number",
        changed("nan.csv", gain="nan"): "its line 3 has gain='nan', which is no number",
        changed("seed.csv", seed="1.5"): "its line 3 has seed='1.5', which is no whole number",
        changed("student.csv", student=""): "its line 3 has no student",
        tmp_path / "other.csv": "it is no table of runs, as a report's tables/runs.csv is: it lacks the columns folder",
        tmp_path / "empty.csv": f"and {len(COLUMNS) - len(LATER) - 5} more",
        tmp_path / "short.csv": "its line 2 has fewer cells than there are columns",
        tmp_path / "long.csv": "its line 2 has more cells than there are columns",
        tmp_path / "quote.csv": "it is no csv file",
        tmp_path / "bytes.csv": "it is no csv file",
        tmp_path / "folder.csv": "it cannot be read",
    }
    collection = collect([], [good, *files])
    reasons = {each.folder: each.reason for each in collection.left_out}
    assert reasons.keys() == files.keys() and collection.tables == [good]
    for file, reason in files.items():
        assert reason in reasons[file], file
    pd.testing.assert_frame_equal(collection.runs, table(folders))


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
KINDS = {float: NUMBERS, int: st.integers(0, 2**40), str: WORDS}
FIXED = {"options": st.none(), "teachers": st.integers(0, 3)}
ROWS = st.fixed_dictionaries({
    name: FIXED.get(name, st.none() | KINDS[kind] if name in UNKNOWN else KINDS[kind]) for name, kind in COLUMNS.items()
})  # fmt: skip


@settings(deadline=None, max_examples=30)
@given(st.lists(ROWS, min_size=1, max_size=4))
def test_any_row_comes_back_to_the_last_bit(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> None:
    folder = tmp_path_factory.mktemp("any")
    expected = transfer_table(rows)
    write_table(expected, folder, "runs")
    pd.testing.assert_frame_equal(transfer_table(saved_rows(folder / "runs.csv")), expected, check_exact=True)


def test_a_table_that_is_gone_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be read \(No such file"):
        saved_rows(tmp_path / "runs.csv")
