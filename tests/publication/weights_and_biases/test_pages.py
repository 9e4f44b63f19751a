import json
from pathlib import Path

import pytest
from conftest import Command

from tests.publication.grid import write_grid
from tests.wandb_records import records, started, summary


def test_a_report_is_logged_with_tables_charts_and_page(command: Command, tmp_path: Path) -> None:
    write_grid(tmp_path / "runs")
    ended = command("task=report", "runs=runs", "report.wandb=mine", "hydra.run.dir=report")
    assert ended.code == 0 and "wandb sync" in ended.out, ended.err
    (run,) = (tmp_path / "report" / "wandb").glob("offline-run-*")
    logged = records(run)
    media = run / "files"
    assert (media / logged["page/path"]).read_text() == (tmp_path / "report" / "report.html").read_text()
    for name in ("success", "delta_map", "gain_and_loss"):
        svg = (tmp_path / "report" / "figures" / f"{name}.svg").read_text()
        assert (media / logged[f"figures/{name}/path"]).read_text() == svg
    success = json.loads((media / logged["tables/success/path"]).read_text())
    assert success["columns"][:4] == ["method", "median_success", "mean_delta", "n"]
    assert [row[:2] for row in success["data"]] == [["kl", 50], ["kl_dp", 100]]
    assert logged["tables/Runs/nrows"] == 16
    charts = {name.split("/")[1] for name in logged if name.startswith("charts/")}
    assert charts == {f"{name}_table" for name in ("success", "delta_against_difference", "gain_and_loss")}


def test_a_sweep_is_logged_as_a_run_of_its_group(zoo: dict[str, Path], command: Command, tmp_path: Path) -> None:
    ended = command("-m", "method=kl", "trainer.max_epochs=1", "hydra.sweep.dir=sweep", "logger=wandb")
    assert ended.code == 0, ended.err
    (run,) = (tmp_path / "sweep" / "wandb").glob("offline-run-*")
    (job,) = (tmp_path / "sweep").glob("*/wandb/offline-run-*")
    assert started(run).run_group == started(job).run_group == "sweep"
    view = json.loads((tmp_path / "sweep" / "wandb_workspace.json").read_text())
    assert (view["project"], view["group"]) == ("ktlight", "sweep")
    logged = records(run)
    charts = {panel.get("y") or panel.get("metric") for section in view["sections"] for panel in section["panels"]}
    assert charts - {None} <= summary(job).keys() | records(job).keys()
    assert "epoch" in records(job)
    assert (run / "files" / logged["page/path"]).read_text() == (tmp_path / "sweep" / "report.html").read_text()


def test_without_wandb_a_report_is_still_there(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    def fail(**given: object) -> None:
        raise wandb.errors.CommError("no network")

    monkeypatch.setattr(wandb, "init", fail)
    write_grid(tmp_path / "runs", {"kl": {("a", "b"): [1.0]}})
    ended = command("task=report", "runs=runs", "report.wandb=mine", "hydra.run.dir=report")
    assert ended.code == 0 and "W&B: CommError: no network, so nothing is logged there" in ended.out
    assert (tmp_path / "report" / "report.html").exists()
