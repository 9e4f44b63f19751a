"""Where a run's processes are: what torchrun and srun say, what is refused, and a run on two nodes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
from conftest import REPOSITORY, Command, figures, quick
from lightning.fabric.plugins.environments import SLURMEnvironment
from omegaconf import OmegaConf

from ktlight.errors import UserError
from ktlight.training.started import Started, check_placement, resolved, started
from ktlight.training.trainer import cluster

TORCHRUN = {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "GROUP_WORLD_SIZE": "2"}
SRUN = {"SLURM_STEP_NUM_TASKS": "8", "SLURM_NTASKS_PER_NODE": "4", "SLURM_STEP_NUM_NODES": "2", "SLURM_NTASKS": "8"}
SCRIPT = {"SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4", "SLURM_NNODES": "2", "SLURM_PROCID": "0"}


def trainer(**options: object) -> object:
    return OmegaConf.create({"devices": "auto", "num_nodes": 1, "strategy": "ddp", **options})


def test_what_started_the_processes() -> None:
    assert started({}) is None
    assert started(TORCHRUN) == Started("torchrun", 4, 2)
    assert started(SRUN) == Started("srun", 4, 2)
    assert started(SCRIPT) is None  # the script of a job, before srun
    assert started({**SCRIPT, "SLURM_STEP_NUM_TASKS": "1"}) is None
    assert started({**SRUN, **TORCHRUN, "LOCAL_WORLD_SIZE": "8", "GROUP_WORLD_SIZE": "1"}) == Started("torchrun", 8, 1)
    with pytest.raises(UserError, match=r"8 processes on 3 nodes.*--nproc-per-node=DEVICES"):
        started({**TORCHRUN, "GROUP_WORLD_SIZE": "3"})
    with pytest.raises(UserError, match=r"8 processes on 2 nodes.*--ntasks-per-node=DEVICES"):
        started({name: value for name, value in SRUN.items() if name != "SLURM_NTASKS_PER_NODE"})


@pytest.mark.parametrize(
    ("environment", "options", "message"),
    [
        ({}, {"num_nodes": 2}, "torchrun --nnodes 2 .* or srun --nodes=2"),
        (TORCHRUN, {"devices": 1, "strategy": "auto"}, "torchrun started 8 processes.*add trainer=ddp"),
        (TORCHRUN, {"devices": 2}, "torchrun started 4 processes on each of 2 nodes: leave both options out"),
        (SRUN, {"num_nodes": 4}, "srun started 4 processes on each of 2 nodes"),
    ],
)
def test_what_disagrees_is_refused(
    environment: dict[str, str], options: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=message):
        check_placement(trainer(**options))


def test_devices_and_nodes_come_from_what_started_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolved(trainer()) == ("auto", 1)
    for name, value in SRUN.items():
        monkeypatch.setenv(name, value)
    for options in ({}, {"devices": 4}, {"num_nodes": 2}, {"devices": [0, 1, 2, 3]}):
        check_placement(trainer(**options))
        assert resolved(trainer(**options)) == (options.get("devices", 4), 2)
    assert resolved(trainer(devices=1, num_nodes=1, strategy="auto")) == (1, 1)  # a model trained on the spot
    environment = cluster()
    assert isinstance(environment, SLURMEnvironment) and not environment.auto_requeue


def test_two_nodes_equal_one_process(command: Command, tmp_path: Path) -> None:
    """Started by torchrun on each node, in an empty cache: the models are trained by the first process of the first."""
    options = quick(
        "student=test_vit", "teacher=test_resnet", "method=kl_mcl", "optim=sgd", "optim.lr=0.05", "optim.lr_batch=null",
        "trainer.max_epochs=2", "trainer.check_val_every_n_epoch=1", "pretrain.epochs=1", "data.fraction=0.5",
    )  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    two = tmp_path / "two"
    start = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    where = ["--master-addr", "127.0.0.1", "--master-port", str(port)]
    rest = ["trainer=ddp", "trainer.accelerator=cpu", "data.batch_size=32", f"hydra.run.dir={two}"]
    nodes = [
        subprocess.Popen(
            [*start, "--node-rank", str(rank), *where, str(REPOSITORY / "run.py"), *options, *rest],
            env={**os.environ, "KTLIGHT_CACHE": str(tmp_path / "cache")},
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for rank in (0, 1)
    ]  # fmt: skip
    printed = [node.communicate(timeout=1200)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], "\n".join(printed)
    assert printed[0].count("transfer delta") == 1 and "training it once" in printed[0]
    assert not printed[1].strip()

    one = tmp_path / "one"
    models = [f"{role}.checkpoint={_trained(tmp_path, name)}" for role, name in MODELS.items()]
    models.append("teacher.labels=same")  # two epochs on so few images are hardly more than guessing
    assert command(*options, *models, "trainer=cpu", "data.batch_size=64", f"hydra.run.dir={one}").code == 0
    expected, learned = (safetensors.torch.load_file(folder / "student" / "model.safetensors") for folder in (one, two))
    for name, weights in expected.items():
        np.testing.assert_allclose(learned[name], weights, rtol=1e-4, atol=2e-6, err_msg=name)
    assert figures(two)["epochs"] == figures(one)["epochs"] == 2


MODELS = {"student": "test_vit", "teacher": "test_resnet"}


def _trained(folder: Path, name: str) -> Path:
    """Return the folder of the model that the run trained on the spot."""
    [found] = [
        entry.parent for entry in (folder / "cache" / "zoo").rglob("training_record.json")
        if json.loads((entry).read_text()).get("student") == name
    ]  # fmt: skip
    return found
