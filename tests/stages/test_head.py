"""A head that learns alone on stored features: against a loop by hand, and against the whole network."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import safetensors.torch
import timm
import torch
from conftest import Command, figures
from torch import Tensor, nn

from ktlight.data.digits import load_digits
from ktlight.errors import UserError
from ktlight.models.classifier import Classifier
from ktlight.models.head import Head
from ktlight.stages import head
from ktlight.training.checkpoints import WholeCheckpoints
from tests import tiny

STEPS, RATE = 5, 0.5
PLAIN = ["transfer.part=head", "data.augment.kind=none"]
BY_HAND = [
    *PLAIN, "method=xe_kl", "router=most_confident", "optim=sgd", f"optim.lr={RATE}", "optim.lr_batch=null",
    "optim.decay=constant", "optim.warmup_epochs=0", "optim.optimizer.momentum=0", "optim.optimizer.weight_decay=0",
    "data.batch_size=360", f"trainer.max_epochs={STEPS}",
]  # fmt: skip


@pytest.fixture(scope="module")
def by_hand(zoo: dict[str, Path], run_in: Callable[..., Path]) -> Path:
    return run_in("head", *BY_HAND, *checkpoints(zoo))


def checkpoints(zoo: dict[str, Path]) -> list[str]:
    return [f"student.checkpoint={zoo['test_vit']}", f"teacher.checkpoint={zoo['test_convnext']}"]


def weights(folder: Path) -> dict[str, Tensor]:
    return safetensors.torch.load_file(folder / "model.safetensors")


def forward(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Return a saved model's features and logits of the digits, with timm alone."""
    network: Any = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    table = getattr(load_digits(), split)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network), is_training=False)
    from torchvision.transforms.functional import to_pil_image

    images = torch.stack([transform(to_pil_image(table.image(row))) for row in range(len(table))])
    with torch.no_grad():
        features = network.forward_head(network.forward_features(images), pre_logits=True)
        return features, network(images)


def test_equals_full_batch_training_by_hand(by_hand: Path, zoo: dict[str, Path]) -> None:
    """Half KL towards whoever is surer of the label, half cross entropy, plain gradient descent on all 360 digits."""
    features, before = forward(zoo["test_vit"], "train")
    _, teacher = forward(zoo["test_convnext"], "train")
    labels = torch.from_numpy(load_digits().train.labels)
    rows = torch.arange(len(labels))
    teaches = teacher.softmax(1)[rows, labels] > before.softmax(1)[rows, labels]
    target = torch.where(teaches[:, None], teacher, before).softmax(1)
    start = weights(zoo["test_vit"])
    weight, bias = (start[f"head.{name}"].clone().requires_grad_() for name in ("weight", "bias"))
    for _ in range(STEPS):
        log_student = (features @ weight.T + bias).log_softmax(1)
        soft = (target * (target.log() - log_student)).sum(1).mean()
        loss = 0.5 * soft - 0.5 * log_student[rows, labels].mean()
        for parameter, gradient in zip((weight, bias), torch.autograd.grad(loss, (weight, bias)), strict=True):
            parameter.data -= RATE * gradient
    learned = weights(by_hand / "student")
    torch.testing.assert_close(learned["head.weight"], weight.data, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(learned["head.bias"], bias.data, rtol=1e-4, atol=1e-5)
    assert not torch.equal(learned["head.weight"], start["head.weight"])


def test_only_the_head_moves_and_the_whole_network_answers_as_recorded(by_hand: Path, zoo: dict[str, Path]) -> None:
    start, learned = weights(zoo["test_vit"]), weights(by_hand / "student")
    assert {name for name in start if not torch.equal(start[name], learned[name])} == {"head.weight", "head.bias"}
    recorded = pq.read_table(by_hand / "predictions.parquet")["after"].to_pylist()
    assert forward(by_hand / "student", "val")[1].argmax(1).tolist() == recorded
    assert figures(by_hand)["part"] == "head"


def test_a_full_store_leaves_nothing_to_compute(
    by_hand: Path, zoo: dict[str, Path], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same again from the store: bit for bit, and no whole network runs."""
    asked: list[type] = []
    ask = Classifier.forward
    monkeypatch.setattr(Classifier, "forward", lambda self, image: (asked.append(type(self)), ask(self, image))[1])
    assert command(*BY_HAND, *checkpoints(zoo), "hydra.run.dir=again", "store=readonly").code == 0
    assert set(asked) == {Head}
    assert figures(tmp_path / "again") == figures(by_hand)


@pytest.mark.parametrize(
    "options",
    [
        ["method=kl_mcl", "router=flip_avg", "guard=wise", "guard.steps=2"],
        ["method=dist", "router=soft", "method.standardize_logits=true"],
        ["method=dkd", "router=no_negative_flips", "restraint=mcl", "method.warmup_epochs=2"],
        ["method=label_smoothing"],
        ["method=xe_kl", "teacher=test_vit", "trainer.precision=bf16-mixed"],  # convolutions in bfloat16 are slow here
        ["method=hinton", "router=classwise", "optim=sgd", "data.views=1"],
        ["teachers=[test_convnext,test_vit]", "student=test_vit", "schedule=soup", "schedule.average=greedy"],
        ["teachers=[test_convnext]", "schedule=sequential", "router=calibrated"],
    ],
)
def test_every_part_that_acts_on_logits(
    options: list[str], zoo: dict[str, Path], command: Command, tmp_path: Path
) -> None:
    ended = command(
        "transfer.part=head", *(each.strip("'") for each in options), "trainer.max_epochs=1", "hydra.run.dir=run"
    )
    assert ended.code == 0, ended.err
    results = figures(tmp_path / "run")
    assert results["weights_after"] != results["weights_before"] or results["guard"]["share"] == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["method=cd"], "method=cd moves the features, which come before the head"),
        (["method=vkd"], "method=vkd moves the features, which come before the head"),
        (["method=dml"], "method=dml runs several networks on the same images"),
        (["method=kdcl", "method.update_teacher=false"], "method=kdcl runs several networks"),
        (["method=ensemble"], "method=ensemble trains nothing"),
        (["store=off"], "transfer.part=head learns on stored outputs: use store=auto"),
    ],
)
def test_refused(options: list[str], says: str, zoo: dict[str, Path], command: Command, tmp_path: Path) -> None:
    ended = command("transfer.part=head", *options, "hydra.run.dir=run")
    assert ended.code == 1 and says in ended.err and ended.err.count("\n") == 1
    assert not (tmp_path / "run" / "results.json").exists()


def test_networks_without_a_single_linear_layer_are_refused() -> None:
    with pytest.raises(UserError, match=r"tiny0 .Sequential. has no single linear layer.*none.*transfer.part=all"):
        Head(tiny.classifier())


class Scaled(nn.Module):
    """Its logits are twice what its last layer gives."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * tiny.SIZE**2, tiny.CLASSES)

    def get_classifier(self) -> nn.Module:
        return self.layer

    def forward(self, image: Tensor) -> Tensor:
        return 2 * self.layer(image.flatten(1))


def test_a_network_that_changes_the_logits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from ktlight.answers.stored import OutputStore
    from ktlight.stages.setting import Setting

    config = tiny.config("transfer.part=head")
    student = Classifier(Scaled(), tiny.Scale(), name="scaled", architecture="scaled", num_classes=tiny.CLASSES)
    setting = Setting(config, tiny.data_module(), OutputStore(config), [], 1)
    with pytest.raises(UserError, match=r"logits of scaled are not its last layer's alone.*transfer.part=all"):
        head.on_features(setting, student.freeze())


def test_resumed_equals_undisturbed(
    zoo: dict[str, Path], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["transfer.part=head", "method=kl_mcl", "trainer.max_epochs=3", "trainer.checkpoint_every_seconds=0"]
    assert command(*options, "hydra.run.dir=undisturbed").code == 0
    save = WholeCheckpoints.save_checkpoint

    def failing(self: WholeCheckpoints, checkpoint: Any, path: Any, **more: Any) -> None:
        save(self, checkpoint, path, **more)
        if checkpoint["epoch"] == 1:
            raise RuntimeError("pulled the plug")

    with monkeypatch.context() as patch:
        patch.setattr(WholeCheckpoints, "save_checkpoint", failing)
        assert command(*options, "hydra.run.dir=killed").code == 1
    resumed = command(*options, "hydra.run.dir=killed", "resume=true")
    assert resumed.code == 0 and "Continuing after epoch 2 of 3" in resumed.out
    assert figures(tmp_path / "killed") == figures(tmp_path / "undisturbed")
    curves = [list(csv.reader((tmp_path / run / "curves.csv").open())) for run in ("killed", "undisturbed")]
    assert curves[0] == curves[1]
