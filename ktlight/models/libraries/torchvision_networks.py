"""torchvision's networks: their weights, behind timm's interface."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights

from ktlight.errors import UserError, nearest
from ktlight.models.checkpoint import check_architecture, compare, load_state, read_folder_config, read_state_dict
from ktlight.models.download import hash_of
from ktlight.models.libraries.adapted import Adapted, check_crop_mode, outputs, share
from ktlight.models.recipe import file_digest
from ktlight.models.spec import ModelConfig

PREFIX = "tv:"
SIZED = ("vit", "maxvit")
"""Families whose constructors take the input size."""
WITH_AUXILIARY = ("googlenet", "inception_v3")
"""Architectures with further classifiers for training, which are left out, and a second normalisation."""
DENSENET = re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.([12]\..*)")
"""Names of layers in torchvision's files for DenseNet, which its modules cannot have any more."""


def weights_enum(architecture: str) -> Any:
    """Return torchvision's list of an architecture's weights."""
    return get_model_weights(architecture.partition(".")[0].removeprefix(PREFIX))


def weights_of(architecture: str) -> Any:
    """Return the weights of an architecture's tag, or the default ones.

    Raises:
        UserError: It has no weights of that tag for classifying.
    """
    tag, known = architecture.partition(".")[2], weights_enum(architecture)
    tags = {each.name: each for each in known if each.meta["categories"]}
    if not tag:
        return known.DEFAULT
    if tag not in tags:
        raise UserError(f"torchvision has no weights {architecture}.{nearest(tag, tags)} There are: {', '.join(tags)}.")
    return tags[tag]


def record_of(architecture: str, weights: Any = None) -> dict[str, Any]:
    """Return timm's record of an architecture, with the preprocessing of some weights, else of its tag."""
    transform = (weights or weights_of(architecture)).transforms()
    crop, resize = transform.crop_size[0], transform.resize_size[0]
    base = architecture.partition(".")[0]
    return {
        "architecture": base,
        "input_size": (3, crop, crop),
        "fixed_input_size": base.removeprefix(PREFIX).partition("_")[0] in SIZED,
        "crop_pct": share(crop, resize),
        "crop_mode": "center",
        "interpolation": transform.interpolation.value,
        "mean": tuple(transform.mean),
        "std": tuple(transform.std),
    }


def build(config: ModelConfig, num_classes: int, record: dict[str, Any], *, init_weights: bool = False) -> nn.Module:
    """Return a network with random weights.

    Raises:
        UserError: It cannot be made with these arguments.
    """
    check_crop_mode(config, "torchvision")
    base = record["architecture"].removeprefix(PREFIX)
    family, (_, height, width) = base.partition("_")[0], record["input_size"]
    sizes = {"vit": {"image_size": height}, "maxvit": {"input_size": (height, width)}}
    own = {"aux_logits": False} if base in WITH_AUXILIARY else sizes.get(family, {})
    arguments = {**own, **record.get("kwargs", {}), **config.kwargs}
    start = {"init_weights": init_weights} if base in WITH_AUXILIARY else {}
    try:
        model = get_model(base, num_classes=num_classes, **{**start, **arguments})
    except (TypeError, ValueError, AssertionError, RuntimeError, ZeroDivisionError) as error:
        given = ", ".join(f"{name}={value}" for name, value in arguments.items())
        raise UserError(
            f"torchvision cannot make {base} with {given or 'these arguments'}: {error}. Change img_size= or kwargs=."
        ) from error
    head = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]
    assert outputs(model.get_submodule(head)) == num_classes
    return Adapted(model, [head], {**record, "kwargs": arguments})


def load_folder(config: ModelConfig, folder: Path) -> nn.Module:
    """Return the network of a folder that was exported."""
    saved = read_folder_config(folder, "torchvision")
    check_architecture(config, PREFIX + saved["architecture"], str(folder))
    squashed, (height, width) = isinstance(saved["resize"], list), saved["crop"]
    resize = saved["resize"][0] if squashed else saved["resize"]
    record = {
        **record_of(config.architecture),
        "input_size": (3, height, width),
        "crop_pct": share(min(height, width), resize),
        "crop_mode": "squash" if squashed else "center",
        "interpolation": saved["interpolation"],
        "mean": tuple(saved["mean"]),
        "std": tuple(saved["std"]),
        "kwargs": saved["kwargs"],
        **({"label_names": saved["class_names"]} if saved["class_names"] else {}),
    }
    return filled(config, record, read_state_dict(folder), folder)


def filled(config: ModelConfig, record: dict[str, Any], state: Mapping[str, Tensor], origin: Path) -> nn.Module:
    """Return a network with weights, and as many classes as they are for."""
    with torch.device("meta"):
        skeleton: Any = build(config, 1000, record)
    weight = state.get(f"{skeleton.heads[0]}.weight")
    classes = 1000 if weight is None else len(weight)
    network: Any = build(config, classes, record)
    if config.img_size and record["fixed_input_size"] and compare(network.model, state):  # maybe trained at that size
        network = build(config, classes, {**record, "input_size": (3, config.img_size, config.img_size)})
    load_state(network.model, state, origin, record["architecture"])
    return network  # type: ignore[no-any-return]


def recognised(path: Path, architecture: str) -> Any:
    """Return the weights of torchvision that a file holds, by its content; None if it holds others."""
    digest = file_digest(path)
    return next((each for each in weights_enum(architecture) if digest.startswith(hash_of(each.url))), None)


def of_today(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights without auxiliary classifiers, under the names that torchvision's modules have by now."""
    kept = {name: value for name, value in state.items() if not name.startswith(("aux1.", "aux2.", "AuxLogits."))}
    return {DENSENET.sub(r"\1\2", name): value for name, value in kept.items()}
