"""The view of a project, as data and as what W&B's server would be sent; nobody is logged in."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ktlight.publication.weights_and_biases import workspace as module
from ktlight.publication.weights_and_biases.tracking import Tracked
from ktlight.publication.weights_and_biases.workspace import built, keep_workspace, workspace


def tracked(mode: str | None) -> Any:
    made = Tracked.__new__(Tracked)
    made.run = mode and SimpleNamespace(settings=SimpleNamespace(mode=mode), entity="me")
    return made


def test_the_specification_is_data() -> None:
    view = workspace("ktlight", "Sweep 1", "sweep-1")
    assert json.loads(json.dumps(view)) == view
    panels = {panel["title"]: panel for section in view["sections"] for panel in section["panels"]}
    difference = panels["Delta against performance difference"]
    assert (difference["x"], difference["y"]) == ("difference", "transfer_delta")
    assert panels["Pair map"]["keys"] == ["figures/delta_map"]
    kinds = [panel["kind"] for panel in panels.values()]
    assert {kind: kinds.count(kind) for kind in kinds} == {"bar": 2, "scatter": 2, "media": 1, "line": 3}


def test_what_the_server_is_sent() -> None:
    sent = built(workspace("ktlight", "Sweep 1", "sweep-1"), "me")._to_model().model_dump(by_alias=True)
    assert (sent["entity"], sent["project"], sent["displayName"]) == ("me", "ktlight", "Sweep 1")
    section = sent["spec"]["section"]
    drawn = [panel for each in section["panelBankConfig"]["sections"] for panel in each["panels"]]
    success, scatter = drawn[0]["config"], drawn[2]["config"]
    assert (success["metrics"], success["groupBy"], success["groupAgg"]) == (["better"], "method.value.name", "mean")
    assert (scatter["xAxis"], scatter["yAxis"]) == ("summary:difference", "summary:transfer_delta")
    (shown,) = section["runSets"][0]["filters"]["filters"]
    assert (shown["key"]["name"], shown["value"]) == ("group", "sweep-1")
    assert not built(workspace("ktlight", "All"), "me")._to_model().spec.section.run_sets[0].filters["filters"]


def test_without_an_account_it_is_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for mode in ("offline", None):
        keep_workspace(tracked(mode), workspace("p", "n"), tmp_path)
    assert json.loads((tmp_path / "wandb_workspace.json").read_text()) == workspace("p", "n")
    assert all("runs online" in message for message in caplog.messages)


def test_with_an_account_it_is_saved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = []

    def save(specification: dict[str, Any], entity: str) -> Any:
        saved.append((specification, entity))
        address = SimpleNamespace(url="https://wandb.ai/me/p?nw=1")
        return SimpleNamespace(save=lambda: address)

    monkeypatch.setattr(module, "built", save)
    for _ in range(2):
        keep_workspace(tracked("online"), workspace("p", "n"), tmp_path)
    assert saved == [(workspace("p", "n"), "me")]
    assert [path.name for path in tmp_path.iterdir()] == ["wandb_workspace.txt"]


def test_a_failure_leaves_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*given: object) -> None:
        raise ValueError("no such project")

    monkeypatch.setattr(module, "built", fail)
    keep_workspace(tracked("online"), workspace("p", "n"), tmp_path)
    assert "ValueError: no such project" in caplog.text and (tmp_path / "wandb_workspace.json").exists()
