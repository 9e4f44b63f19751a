"""Networks divided among two processes learn what whole ones do; checkpoints and students are whole."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from conftest import figures
from ranks import run_in_ranks
from tiny import config
from torch import nn

from ktlight.errors import UserError
from ktlight.methods.base import TransferMethod
from ktlight.models.sharding import units
from ktlight.training.trainer import build_trainer

COMMON = [
    "optim.lr=0.01",
    "optim.lr_batch=null",
    "trainer.accelerator=cpu",
    "data.batch_size=16",
    "data.fraction=0.5",
    "page.images=false",
]
RUNS = {
    "mcl": [
        "method=kl_mcl",
        "trainer.accumulate_grad_batches=2",
        "trainer.gradient_clip_val=1.0",
        "+optim.optimizer.eps=0.01",  # else Adam makes whole steps of rounding errors
    ],
    "kdcl": ["method=kdcl", "method.rule=linear", "optim=sgd", "trainer.precision=bf16-mixed"],
    "crd": ["method=crd", "optim=sgd"],
    "vkd": ["method=vkd", "optim=sgd"],
    "dist": ["method=dist", "optim=sgd"],
    "guard": ["student=test_efficientnet", "guard=wise", "guard.steps=2", "data.holdout=0.2", "optim=sgd"],
}
ROUNDING = {  # memory layouts differ for convolutions; bfloat16 has 8 bits
    "guard": {"rtol": 1e-3, "atol": 2e-5},
    "kdcl": {"rtol": 0.05, "atol": 2e-3},
}
INTERRUPTED = 1


def once_interrupted(folder: Path) -> None:
    """Stop the run that is to be interrupted at the start of its second epoch, once."""
    start = TransferMethod.on_train_epoch_start

    def stop(method: TransferMethod) -> None:
        if (
            method.current_epoch == 1
            and folder.exists()
            and any("cut" in str(vars(callback)) for callback in method.trainer.callbacks)
        ):
            method.trainer.strategy.barrier()
            folder.rmdir() if method.trainer.is_global_zero else None
            raise UserError("stopped")
        start(method)

    TransferMethod.on_train_epoch_start = stop


@pytest.fixture(scope="module")
def runs(
    zoo: dict[str, Path], run_in: Callable[..., Path], cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The runs by strategy, and one that was stopped after its first epoch and went on."""
    folder = tmp_path_factory.mktemp("runs")
    models = {**zoo, "test_efficientnet": run_in("bn", "task=pretrain", "student=test_efficientnet") / "student"}

    def prepare() -> None:
        os.environ["KTLIGHT_CACHE"] = str(cache)
        once_interrupted(folder / "once")

    commands = [
        [
            *COMMON, *options, f"student.checkpoint={models['test_efficientnet' if name == 'guard' else 'test_vit']}",
            f"teacher.checkpoint={models['test_convnext']}", f"trainer={strategy}",
            f"trainer.max_epochs={1 + (name == 'mcl')}", f"hydra.run.dir={folder}/{strategy}-{name}",
        ]
        for name, options in RUNS.items()
        for strategy in ("ddp", "fsdp")
    ]  # fmt: skip
    cut = [*commands[1][:-1], f"hydra.run.dir={folder}/cut", "trainer.checkpoint_every_seconds=0"]
    (folder / "once").mkdir()
    codes = run_in_ranks([*commands, cut, [*cut, "resume=true"]], folder, prepare)
    assert codes == [0] * len(commands) + [INTERRUPTED, 0], (folder / "0.txt").read_text()
    return folder


def student(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / "student" / "model.safetensors")


@pytest.mark.parametrize("name", RUNS)
def test_divided_networks_learn_what_whole_ones_do(name: str, runs: Path) -> None:
    whole, divided = (student(runs / f"{strategy}-{name}") for strategy in ("ddp", "fsdp"))
    assert whole.keys() == divided.keys()
    for key, weights in whole.items():
        tolerance = ROUNDING.get(name, {"rtol": 1e-4, "atol": 2e-6})
        np.testing.assert_allclose(divided[key], weights, **tolerance, err_msg=key)
    before, after = (figures(runs / f"{strategy}-{name}") for strategy in ("ddp", "fsdp"))
    assert after.keys() == before.keys()
    assert after["weights_before"] == before["weights_before"] and after["acc_after"] == pytest.approx(
        before["acc_after"], abs=0.5
    )


def test_a_resumed_run_ends_with_the_same_weights(runs: Path) -> None:
    for name, weights in student(runs / "fsdp-mcl").items():
        assert torch.equal(student(runs / "cut")[name], weights), name
    assert "Continuing after epoch 1 of 2" in (runs / "0.txt").read_text()


def test_the_student_is_an_ordinary_model(runs: Path) -> None:
    network = timm.create_model(f"local-dir:{runs}/fsdp-mcl/student", pretrained=True)
    assert all(type(parameter) is nn.Parameter for parameter in network.parameters())


def test_only_the_first_process_writes(runs: Path) -> None:
    assert (runs / "1.txt").read_text() == "error: stopped\n"
    assert {path.name for path in runs.glob("**/.*")} <= {".lock", ".hydra"}


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "resnet18", "convnext_atto", "swin_tiny_patch4_window7_224"])
def test_a_unit_is_a_block_or_a_stage(name: str) -> None:
    network = timm.create_model(name)
    parts = list(units(network))
    inside = [parameter for part in parts for parameter in part.parameters()]
    assert len(parts) > 3 and len({id(parameter) for parameter in inside}) == len(inside)
    assert sum(parameter.numel() for parameter in inside) > 0.6 * sum(each.numel() for each in network.parameters())


@pytest.mark.parametrize("option", ["precision=bf16-true", "compile=default"])
def test_what_does_not_work_is_refused(option: str) -> None:
    with pytest.raises(UserError, match=option.partition("=")[0]):
        build_trainer(config("trainer=fsdp", "trainer.accelerator=cpu", f"trainer.{option}").trainer)
