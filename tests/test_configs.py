"""Every file of conf/ composes, everything it names can be made, and no key stands there for nothing."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from timm.data.imagenet_info import ImageNetInfo

from ktlight.config.instantiate import make
from ktlight.config.location import BASE, config_directory
from ktlight.config.model_source import register_models
from ktlight.config.resolvers import NO_GROUPS, register_resolvers
from ktlight.data.augment import Augment
from ktlight.data.dataset import ImageDataset
from ktlight.errors import UserError
from ktlight.models.sources import LiveSource
from ktlight.stages.stage import build_method, restraint
from ktlight.training.assemble import optimization
from ktlight.training.trainer import build_trainer
from tests import tiny
from tests.conftest import REPOSITORY
from tests.data.conftest import encode, random_pixels
from tests.methods.features import networks, train

CONF = config_directory()
FILES = sorted(
    file.relative_to(CONF) for file in CONF.rglob("*.yaml") if file.relative_to(CONF).parts[0] not in NO_GROUPS
)
CHOICES = [
    (file.parts[0], str(file.relative_to(file.parts[0]).with_suffix("")))
    for file in FILES
    if len(file.parts) > 1 and file.stem != BASE
]
METHODS, ROUTERS, RESTRAINTS, TRAINERS, OPTIMIZERS, DATA = (
    [choice for group, choice in CHOICES if group == wanted]
    for wanted in ("method", "router", "restraint", "trainer", "optim", "data")
)


@pytest.fixture(scope="module")
def composed() -> Iterator[Callable[..., DictConfig]]:
    """Compose the whole config with overrides."""
    register_models()
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield lambda *overrides: compose("config", list(overrides))


@pytest.mark.parametrize(("group", "choice"), CHOICES, ids=lambda value: value)
def test_composes(group: str, choice: str, composed: Callable[..., DictConfig]) -> None:
    if (group, choice) == ("launcher", "ray"):
        pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="needs pip install 'ktlight[ray]'")
    config = composed(f"{group}={choice}")
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert [get_object(target) for target in _targets(plain)]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_says_what_it_is(file: Path) -> None:
    """Each file opens with a comment, which is its documentation."""
    lines = (CONF / file).read_text().splitlines()
    assert any(line.startswith("# ") and "@package" not in line for line in lines[:3]), f"{file} has no heading"


def test_the_commands_models_compose(composed: Callable[..., DictConfig]) -> None:
    config = composed("method=kdcl", "teacher=vit_b", "student=resnet50")
    assert (config.teacher.architecture, config.student.architecture) == ("vit_base_patch16_224", "resnet50")


UNROUTED = {"kdcl", "dml", "bikd", "label_smoothing"}
TARGETS = {method: OmegaConf.load(CONF / "method" / f"{method}.yaml").get("_target_") for method in METHODS}
FEATURES = {method for method, target in TARGETS.items() if target and get_object(target).needs_features}


@pytest.mark.parametrize("method", sorted(set(METHODS) - FEATURES - {"ensemble"}))
def test_method_composes_with_routers_and_restraints(method: str, composed: Callable[..., DictConfig]) -> None:
    """Loss, router and restraint are separate axes; only a router where none is wanted, or none, is refused.

    Each method with a third of the routers, and with none; each router with a third of the methods.
    """
    first = METHODS.index(method)
    for number, router in enumerate(ROUTERS):
        if router != "none" and (number + first) % 3:
            continue
        restrained = RESTRAINTS[(number + first) // 3 % len(RESTRAINTS)]
        config = composed(f"method={method}", f"router={router}", f"restraint={restrained}")
        student, teacher = tiny.classifier(0), tiny.classifier(1)
        if (router == "none") != (method in UNROUTED):
            with pytest.raises(UserError, match="router"):
                build_method(config, [student, teacher])
            continue
        built = build_method(config, [student, teacher])
        assert len(restraint(config)) == (restrained != "none")
        batch = tiny.batch()
        if built.routed:
            rule = make(config.router)
            sources = rule.candidates([LiveSource("student", student), LiveSource("teacher", teacher)])
            logits_MBC = torch.stack([source.logits(batch) for source in sources])
            if rule.needs_holdout:
                rule.prepare(logits_MBC, batch["label"])
            source_B, target_BC = rule(logits_MBC, batch, student(batch["image"]).detach())
            batch |= {"source": source_B, "target": target_BC}
        loss = sum(built.terms([network(batch["image"]) for network in built.networks], batch).values())
        assert torch.isfinite(loss)


@pytest.mark.parametrize("method", sorted(FEATURES))
def test_method_on_features_composes_with_routers_and_restraints(
    method: str, composed: Callable[..., DictConfig]
) -> None:
    first = METHODS.index(method)
    for number, router in enumerate(name for name in ROUTERS if name != "none"):
        if (number + first) % 3:
            continue
        restrained = RESTRAINTS[(number + first) // 3 % len(RESTRAINTS)]
        config = composed(f"method={method}", f"router={router}", f"restraint={restrained}", "optim=sgd")
        models = networks()
        built, rule = build_method(config, networks()), make(config.router)
        if rule.needs_holdout:
            rule.prepare(torch.randn(2, 6, tiny.CLASSES), torch.arange(6) % tiny.CLASSES)
        if not rule.has_features:
            with pytest.raises(UserError, match="has no features"):
                train(built, models, rule)
            continue
        _, record = train(built, models, rule, limit_train_batches=1)
        assert torch.isfinite(record.batches[0]["loss"])


@pytest.mark.parametrize("choice", OPTIMIZERS)
def test_optimizer(choice: str, composed: Callable[..., DictConfig]) -> None:
    config = composed(f"optim={choice}")
    made = optimization(config.optim, tiny.classifier())
    optimizer = made.optimizer(params=tiny.classifier().parameters(), lr=made.lr)
    assert optimizer.defaults["lr"] == config.optim.lr
    assert set(config.optim.optimizer) - {"_target_"} <= set(optimizer.defaults)


@pytest.mark.parametrize("choice", TRAINERS)
def test_trainer(choice: str, composed: Callable[..., DictConfig]) -> None:
    config = composed(f"trainer={choice}").trainer
    if choice == "gpu" and not torch.cuda.is_available():
        with pytest.raises(UserError, match="no GPU"):
            build_trainer(config)
        return
    if choice == "ddp" and not torch.cuda.is_available():
        config.accelerator, config.devices = "cpu", 2
    trainer = build_trainer(config, max_epochs=12, validate_every=3)
    assert (trainer.max_epochs, trainer.check_val_every_n_epoch) == (12, 3)


def test_pretraining(composed: Callable[..., DictConfig]) -> None:
    options = composed("task=pretrain").pretrain
    assert optimization(options.optim, tiny.classifier()).decay == "cosine"


def test_callbacks_of_the_sweep() -> None:
    for callback in OmegaConf.load(CONF / "config.yaml").hydra.callbacks.values():
        instantiate(callback)


@pytest.mark.parametrize("choice", DATA)
def test_data_set_loads(choice: str, composed: Callable[..., DictConfig], tmp_path: Path) -> None:
    """Each loader takes every key of its config and gives what the config promises, from files made here."""
    files = {
        "cifar10": _cifar, "cifar100": _cifar, "imagenet": _imagenet, "imagenet10": _imagenet, "imagefolder": _folders,
        "parquet": _parquet,
    }  # fmt: skip
    config = composed(f"data={choice}", *files.get(choice, lambda *_: [])(tmp_path, choice)).data
    assert isinstance(make(config.augment), Augment)
    if choice == "python":
        with pytest.raises(UserError, match=r"ktlight\.transfer"):
            make(config.load)
        return
    dataset = make(config.load)
    assert isinstance(dataset, ImageDataset)
    assert dataset.name == config.name == choice
    assert config.hub_labels == choice.startswith("imagenet")
    assert dataset.num_classes == {
        "cifar100": 100,
        "imagenet": 1000,
        "imagenet10": 1000,
        "parquet": 3,
        "imagefolder": 3,
    }.get(choice, 10)
    assert dataset.val.image(0).dtype == torch.uint8


def test_every_plain_key_is_read() -> None:
    """Each key that is no argument of a `_target_` is read by the code or by another config."""
    code = "\n".join(file.read_text() for file in (REPOSITORY / "ktlight").rglob("*.py"))
    configs = "\n".join((CONF / file).read_text() for file in FILES)
    declared = {key for file in FILES for key in _plain_keys(OmegaConf.to_container(OmegaConf.load(CONF / file)))}
    by_code = {key for key in declared if re.search(rf"\.{re.escape(key)}\b", code)}
    by_config = {key for key in declared if re.search(rf"\$\{{[\w.]*\b{re.escape(key)}\}}", configs)}
    assert declared == by_code | by_config


def _targets(config: Any) -> Iterator[str]:
    if isinstance(config, dict):
        if config.get("_target_"):
            yield config["_target_"]
        for value in config.values():
            yield from _targets(value)


def _plain_keys(config: Any) -> Iterator[str]:
    """Yield the keys of the run's config that are no arguments of a `_target_`, which may stand in another file."""
    for key, value in config.items():
        if key in ("defaults", "hydra", "load", "augment", "optimizer", "_target_"):
            continue
        if not isinstance(value, dict):
            yield key
        elif "_target_" not in value:
            yield from _plain_keys(value)


def _write(file: Path, image_key: str, label_key: str, classes: int) -> None:
    image = {"bytes": encode(random_pixels(0, 8, 8)), "path": None}
    images = pa.array([image] * classes, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    pq.write_table(pa.table({image_key: images, label_key: pa.array(range(classes), pa.int64())}), file)


def _cifar(folder: Path, choice: str) -> list[str]:
    for split in ("train", "test"):
        label_key, classes = ("label", 10) if choice == "cifar10" else ("fine_label", 100)
        _write(folder / f"{split}.parquet", "img", label_key, classes)
    return [f"data.root={folder}"]


def _parquet(folder: Path, choice: str) -> list[str]:
    _write(folder / "images.parquet", "image", "label", 3)
    return [f"data.train={folder}/images.parquet", f"data.val={folder}/images.parquet"]


def _folders(
    folder: Path,
    choice: str,
    classes: Sequence[str] = ("ant", "bee", "cat"),
    splits: tuple[str, ...] = ("train", "val"),
) -> list[str]:
    for file in (folder / split / name / "0.png" for split in splits for name in classes):
        file.parent.mkdir(parents=True)
        file.write_bytes(encode(random_pixels(0, 8, 8)))
    return [f"data.root={folder}"]


def _imagenet(folder: Path, choice: str) -> list[str]:
    return _folders(folder, choice, ImageNetInfo("imagenet-1k").label_names(), ("val",))
