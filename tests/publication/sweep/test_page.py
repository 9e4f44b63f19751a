import shutil
from pathlib import Path

import numpy as np
from made import facts, write_run

from ktlight.publication.content import TableColumn
from ktlight.publication.page.writer import page_html
from ktlight.publication.sweep.collection import collect
from ktlight.publication.sweep.page import pair_map, sweep_page
from ktlight.publication.tables import write_table
from tests.publication.grid import control, guarded, results, table, write_grid


def test_the_map_has_a_measure_for_each_method(tmp_path: Path) -> None:
    shown = pair_map(collect([write_grid(tmp_path)]))
    assert shown is not None and shown.num_samples == 1437
    names = [model["name"] for model in shown.models]
    assert names == ["a", "b", "c"] and shown.models[2]["num_params"] == 100_000  # the least accurate first
    delta_TS = shown.measures["Delta, kl"]
    assert delta_TS[names.index("c"), names.index("b")] == 3 and np.isnan(delta_TS[1, 2])
    assert shown.measures["Delta, kl_dp"][0, 1] == 1
    (first, second) = shown.remarks[2, 1]
    assert first.startswith("kl: +3.00 points (+2.00 to +4.00), 2 runs from +2.00 to +4.00; gain 8.00, loss 5.00")
    assert second.startswith("kl_dp: +2.50")


def test_different_data_have_measures_of_their_own(tmp_path: Path) -> None:
    write_grid(tmp_path)
    write_grid(tmp_path, data="cifar10")
    shown = pair_map(collect([tmp_path]))
    assert shown is not None and len(shown.measures) == 4 and "Delta, kl on cifar10, 1437 samples" in shown.measures


def test_the_tables_have_every_run_and_method(tmp_path: Path) -> None:
    collection = collect([write_grid(tmp_path / "sweep")])
    page = sweep_page(collection, [], tmp_path / "sweep", "Sweep", collection.success)
    runs = {column.name: column for column in page.tables["Runs"]}
    assert len(runs["delta"].cells) == 16 and runs["interval"].cells[0] == [-4, -2]
    assert runs["folder"].cells[0] == ["kl-a-to-b-0-", "kl-a-to-b-0-"] and runs["student_params"].cells[0] == 10_000
    methods: list[TableColumn] = list(page.tables["Methods"])
    assert next(column for column in methods if column.name == "median_success").cells == [50, 100]
    html = page_html(page)
    assert "Not clear" in html and "Cameron" in html and len(html) < 400_000


def test_one_model_and_none_have_a_page_without_a_map(tmp_path: Path) -> None:
    collection = collect([write_grid(tmp_path / "one", {"kl": {("a", "a"): [1.0]}})])
    assert pair_map(collection) is None
    assert "Largest gain" in page_html(sweep_page(collection, [], tmp_path, "One", collection.success))
    empty = collect([tmp_path / "nothing"])
    assert sweep_page(empty, [], tmp_path, "None", empty.success).overview == []


def test_several_teachers_of_a_run_are_a_model_of_unknown_size(tmp_path: Path) -> None:
    write_grid(tmp_path)
    models = {role: facts(name, 10) for role, name in (("student", "b"), ("teacher1", "a"), ("teacher2", "c"))}
    write_run(tmp_path / "several", results("kl", "c", "b", 0, 1.0) | {"teacher": "a+c", "models": models}, "method=kl")
    collection = collect([tmp_path])
    pairs = pair_map(collection)
    assert pairs is not None
    (several,) = (model for model in pairs.models if model["name"] == "a+c")
    assert several["num_params"] is None and several["family"] == ""
    assert "a+c" in page_html(sweep_page(collection, [], tmp_path, "Several", collection.success))


def test_a_page_has_claims_kinds_and_guards(tmp_path: Path) -> None:
    write_grid(tmp_path / "grid")
    write_run(tmp_path / "wise", guarded("kl_dp", "c", "b", 7, 2.0, -1.0, share=0.3), "guard=wise")
    control(tmp_path, "self_distill", {("c", "b"): 0.5})
    collection = collect([tmp_path])
    page = sweep_page(collection, [], tmp_path, "All", collection.success)
    assert list(page.tables) == ["Methods", "Claims", "Kinds of teachers", "Guards", "Runs"]
    names = {heading: {column.name: column.cells for column in columns} for heading, columns in page.tables.items()}
    assert "samples" not in names["Claims"] and "holds" in names["Claims"]["verdict"]
    assert names["Guards"]["mean_delta_guarded"] == [2] and names["Guards"]["mean_share"] == [30]
    assert names["Kinds of teachers"]["teacher"].count("all") == 4
    told = "\n".join(page.overview)
    assert "18 transfers on digits" in told and "1 of them had a guard and are measured twice" in told
    assert "1 of them had no teacher" in told and "Of the claims, holds: every teacher knows something" in told
    assert page.pair_map is not None and {model["name"] for model in page.pair_map.models} == {"a", "b", "c"}
    assert "Guards" in page_html(page)


def test_a_page_of_a_table_names_runs_that_are_not_there(tmp_path: Path) -> None:
    write_table(table(write_grid(tmp_path / "gone")), tmp_path, "runs")
    shutil.rmtree(tmp_path / "gone")
    collection = collect([], [tmp_path / "runs.csv"])
    page = sweep_page(collection, [], tmp_path, "Table", collection.success)
    folders = next(column for column in page.tables["Runs"] if column.name == "folder")
    assert folders.cells[0] == ["kl-a-to-b-0-", ""]
    assert page.provenance["Config of the first run"].startswith("It is not here")
    assert page.provenance["Tables of runs"] == str(tmp_path / "runs.csv")
