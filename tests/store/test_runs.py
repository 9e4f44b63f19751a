"""A run from the store is the live run, bit for bit (processor, float32), however it goes."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import Command, figures
from forked import run_forked, world
from torch import Tensor, nn
from torch.utils.data import Dataset

import ktlight
from ktlight.models.sources import LiveSource
from ktlight.routing.router import SampleRouter
from ktlight.store.source import StoredSource

pytestmark = pytest.mark.usefixtures("zoo")

EPOCHS = "trainer.max_epochs=3"
RUNS = {
    "kl": ["method=kl", "data.views=2"],
    "kl_dp": ["method=kl_dp", "data.views=4", "trainer.max_epochs=5", "data.batch_size=100"],
    "kl_dp_unsup": ["method=kl_dp_unsup", "data.views=null", "trainer.max_epochs=2"],
    "xe_kl_mcl": ["method=xe_kl_mcl", "data.views=2", "data.fraction=0.5"],
    "vkd": ["method=vkd", "router=most_confident", "data.views=2"],
    "flip_avg": ["method=kl", "router=flip_avg", "data.views=null", "trainer.max_epochs=2"],
}


@pytest.fixture(autouse=True)
def store(cache: Path) -> Path:
    """The folder of the store, empty."""
    folder = cache / "store"
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def content(folder: Path) -> dict[str, Any]:
    names = ("curves.csv", "predictions.parquet", "student/model.safetensors", "config.yaml")
    return {**{name: (folder / name).read_bytes() for name in names}, "results.json": figures(folder)}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_from_the_store_follows_the_live_run(
    name: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes: list[Tensor] = []
    kinds: set[type] = set()
    route = SampleRouter.on_train_batch_start

    def record(self: SampleRouter, trainer: Any, module: Any, batch: Any, number: int) -> None:
        route(self, trainer, module, batch, number)
        routes.append(torch.stack([batch["index"], batch["source"]]))
        kinds.update(map(type, self.sources))

    monkeypatch.setattr(SampleRouter, "on_train_batch_start", record)
    outcomes = []
    for mode, kind in (("off", LiveSource), ("fill", StoredSource)):
        ran = command(EPOCHS, *RUNS[name], f"store={mode}", f"hydra.run.dir={tmp_path}/{mode}")
        assert ran.code == 0, ran.err
        assert kinds == {kind}
        outcomes.append((content(tmp_path / mode), torch.cat(routes, 1)))
        routes.clear()
        kinds.clear()
    (live, live_routes), (stored, stored_routes) = outcomes
    assert stored == live
    assert torch.equal(stored_routes, live_routes)


def test_two_processes_share_the_store(store: Path, tmp_path: Path) -> None:
    options = ["method=kl_dp", "data.views=2", "trainer.max_epochs=2", "data.batch_size=32"]
    options += ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    for mode in ("auto", "off"):
        # as torchrun starts them: both at once, so they race for every entry
        ranks = [
            run_forked(*options, f"store={mode}", f"hydra.run.dir={tmp_path}/{mode}", **environment)
            for environment in world(2)
        ]
        for rank in ranks:
            rank.join(1200)
        assert [rank.exitcode for rank in ranks] == [0, 0]
    (stored, answers), (live, live_answers) = (
        (content(tmp_path / mode), pq.read_table(tmp_path / mode / "predictions.parquet")) for mode in ("auto", "off")
    )
    assert {**stored, "predictions.parquet": None} == {**live, "predictions.parquet": None}
    for name in answers.column_names:  # live, each process answers for half of the test images, and halves may round
        near = {"rtol": 1e-5, "atol": 1e-5} if name.endswith("_confidence") else {"rtol": 0, "atol": 0}
        np.testing.assert_allclose(answers[name], live_answers[name], **near, err_msg=name)
    assert answers.column_names == live_answers.column_names
    assert len(list(store.iterdir())) == 6


def test_killed_and_resumed(command: Command, store: Path, tmp_path: Path) -> None:
    options = ["method=kl_dp", "data.views=2", "trainer.max_epochs=3", "data.batch_size=12"]
    options += ["trainer.checkpoint_every_seconds=0"]
    run = run_forked(*options, f"hydra.run.dir={tmp_path}/killed")
    checkpoint = tmp_path / "killed" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 600
    while not checkpoint.exists():
        assert run.is_alive() and time.monotonic() < deadline
        time.sleep(0.002)
    run.kill()
    run.join()
    assert not (tmp_path / "killed" / "results.json").exists()
    resumed = command(*options, f"hydra.run.dir={tmp_path}/killed", "resume=true")
    assert resumed.code == 0 and "Continuing after epoch" in resumed.out, resumed.err
    assert command(*options, "store=off", f"hydra.run.dir={tmp_path}/live").code == 0
    assert content(tmp_path / "killed") == content(tmp_path / "live")
    assert all(not path.suffix for path in store.iterdir())


def test_the_store_is_filled_ahead_and_kept_in_order(command: Command, store: Path) -> None:
    models = "models=[test_vit,test_convnext]"
    assert command("task=store", models, "data.views=2", EPOCHS).code == 0
    filled = {path: path.stat().st_ino for path in store.iterdir()}
    assert len(filled) == 6  # two views and the test images of two models
    assert command("method=kl_dp", "data.views=2", EPOCHS, "store=readonly").code == 0
    assert command("task=store", models, "data.views=2", EPOCHS).code == 0  # nothing is left to compute
    assert {path: path.stat().st_ino for path in store.iterdir()} == filled

    listed = command("task=store", "store.action=list")
    assert listed.code == 0 and "test_convnext" in listed.out and "6 entries" in listed.out
    verified = command("task=store", "store.action=verify")
    assert verified.code == 0 and "All entries are what was written" in verified.out
    first, second, *_ = sorted(filled)
    with (first / "logits.bin").open("r+b") as file:
        file.write(b"\xff")
    (second / "entry.json").write_text("?")
    verified = command("task=store", "store.action=verify")
    assert verified.code != 0 and verified.err.count("error:") == 1 and "Traceback" not in verified.err
    assert "2 damaged entries" in verified.err and str(first) in verified.err and str(second) in verified.err
    listed = command("task=store", "store.action=list")
    assert listed.code == 0 and "5 entries" in listed.out and str(second) in listed.out + listed.err
    (store / "0.partial").mkdir()
    assert command("task=store", "store.action=prune").code == 0
    assert set(store.iterdir()) == set(filled) - {second}
    assert command("task=store", "store.action=prune", "store.max_gb=0.0000001").code == 0
    assert not list(store.iterdir())


def test_fresh_views_are_filled_on_demand(command: Command, store: Path) -> None:
    """By itself a run does not store what it reads once; once filled, it is read."""
    options = ["method=kl_dp", "data.views=null", EPOCHS]
    ran = command(*options)
    assert ran.code == 0 and "each epoch draws fresh views" in ran.out
    assert len(list(store.iterdir())) == 2  # the test images of two models
    assert command("task=store", "models=[test_vit,test_convnext]", "data.views=null", EPOCHS).code == 0
    filled = len(list(store.iterdir()))
    assert filled > 2
    again = command(*options, "seed=0")
    assert again.code == 0 and "each epoch draws fresh views" not in again.out
    assert len(list(store.iterdir())) == filled


def test_models_are_given_as_teachers_are(command: Command, store: Path, zoo: dict[str, Path]) -> None:
    mine = f"{{name: test_vit, checkpoint: {zoo['test_vit']}}}"
    ended = command("task=store", f"models=[{mine}, test_convnext]", "data.views=2", EPOCHS)
    assert ended.code == 0, ended.err
    assert len(list(store.iterdir())) == 6
    read = command(f"student.checkpoint={zoo['test_vit']}", "data.views=2", EPOCHS, "store=readonly")
    assert read.code == 0, read.err


@pytest.mark.parametrize(
    ("models", "parts"),
    [
        ("[{name: test_vit, checkpont: x}]", ["no option 'checkpont'", "img_size"]),
        ("[{checkpoint: x}]", ["models: ", "neither a model name nor a mapping"]),
        ("[test_vti]", ["no model called 'test_vti'", "Did you mean test_vit"]),
        ("[test_vit,test_vit]", ["test_vit is given twice in models=[...]"]),
        ("[{name: test_vit, img_size: big}]", ["models: test_vit", "Integer"]),
        ("[{name: test_vit, checkpoint: nowhere}]", ["nowhere"]),
        ("test_vit", ["models=test_vit is no list of models", "models=[resnet50,vit_s]"]),
        ("[]", ["task=store needs models"]),
    ],
)
def test_models_that_cannot_be_stored(models: str, parts: list[str], command: Command, store: Path) -> None:
    refused = command("task=store", f"models={models}", EPOCHS)
    assert refused.code == 1 and refused.err.count("error: ") == 1 and "Traceback" not in refused.err, refused.err
    assert all(part in refused.err for part in parts), refused.err


def test_wrong_action_and_mode(command: Command) -> None:
    for options, says in (
        (["task=store", "store.action=verfy"], "verify"),
        (["store.mode=on"], "readonly"),
        (["task=store"], "needs models whose outputs to store"),
        (["task=store", "store=off", "models=[test_vit]"], "cannot fill the store with store=off"),
        (["store=readonly"], "store=readonly, but the outputs of test_vit"),
    ):
        refused = command(*options)
        assert refused.code != 0 and says in refused.err and "Traceback" not in refused.err, refused.err


class Noisy(Dataset):
    """Random transforms, as many a torch data set has."""

    def __init__(self, count: int) -> None:
        self.targets = [row % 3 for row in range(count)]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.targets[row] + torch.rand(3, 4, 4), self.targets[row]


def test_a_torch_data_set_with_random_transforms_is_computed_live(
    store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    networks = [nn.Sequential(nn.Flatten(), nn.Linear(48, 3)) for _ in range(2)]
    options = ["trainer=cpu", "trainer.progress=false", "trainer.max_epochs=2"]
    with caplog.at_level("INFO", "ktlight"):
        outcome = ktlight.transfer(*networks, Noisy(24), Noisy(9), folder=tmp_path / "run", overrides=options)
    assert outcome.results["epochs"] == 2 and not store.exists()
    assert "may be random" in caplog.text


def test_a_compressed_run(command: Command, store: Path, tmp_path: Path) -> None:
    options = ["method=kl_dp", "data.views=2", EPOCHS]
    for name, form in (("full", []), ("packed", ["store.top_k=3"])):
        assert command(*options, *form, f"hydra.run.dir={tmp_path}/{name}").code == 0
    assert len(list(store.iterdir())) == 10  # of two models, two views in two forms and the test images in one
    full, packed = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("full", "packed"))
    same = ("weights_before", "weights_teacher", "teacher_share", "accuracy_before", "accuracy_teacher")
    for name in same:
        assert full.get(name) == packed.get(name), name
    assert packed["weights_after"] != full["weights_after"]
    assert packed["transfer_delta"] == pytest.approx(full["transfer_delta"], abs=4)
