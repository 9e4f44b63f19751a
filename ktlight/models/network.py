"""timm networks with random weights: their inputs and construction."""

import inspect
import re
import sys
from typing import Any

import timm
import torch
from timm.models import PretrainedCfg, get_model_input_config, get_pretrained_cfg
from torch import nn

from ktlight.errors import UserError, nearest
from ktlight.models.libraries.adapted import bare, training_side
from ktlight.models.spec import ModelConfig


def recorded_config(architecture: str) -> PretrainedCfg:
    """Return what timm records about an architecture and the Hub weights of its tag.

    Raises:
        UserError: If timm knows no such architecture or tag.
    """
    tagged = timm.list_models(architecture.partition(".")[0] + ".*", include_tags=True)
    recorded = get_pretrained_cfg(architecture) if "." not in architecture or architecture in tagged else None
    if recorded is None:
        raise UserError(f"timm {timm.__version__} has no model {architecture}.{nearest(architecture, tagged)}")
    return recorded


def classifier_layers(architecture: str) -> tuple[str, ...]:
    """Return the names of the last layers, which compute the logits; most architectures have one, some none."""
    layers = recorded_config(architecture).classifier
    return (layers,) if isinstance(layers, str) else tuple(layers or ())


def training_size(architecture: str, native_size: int) -> int:
    """Return the input size in pixels to train with: that of the images, capped at the architecture's own.

    It is a multiple of 32, so that the coarsest features have at least one position, and at least timm's minimum.
    """
    recorded = recorded_config(architecture)
    least, own = (max(size[1:]) for size in (recorded.min_input_size or (3, 0, 0), recorded.input_size))
    return training_side(native_size, own, least)


def create_network(config: ModelConfig, num_classes: int, img_size: int | None = None, in_chans: int = 3) -> nn.Module:
    """Return a network with random weights.

    Args:
        config: Architecture and constructor arguments.
        num_classes: Number of logits.
        img_size: Side of the square input; passed only to constructors that need it (ViT, Swin, Mixer).
        in_chans: Number of channels of the input.

    Raises:
        UserError: If the architecture, its tag or a constructor argument does not exist or cannot work.
    """
    arguments = {"num_classes": num_classes, "in_chans": in_chans, **config.kwargs}
    if img_size is not None and recorded_config(config.architecture).fixed_input_size:
        arguments["img_size"] = img_size
    return create(config.architecture, arguments)


def create(source: str, arguments: dict[str, Any]) -> nn.Module:
    """Return a network with random weights; ``source`` is an architecture or ``local-dir:`` and a timm folder.

    Raises:
        UserError: If timm cannot build it with these arguments.
    """
    try:
        network: nn.Module = timm.create_model(source, pretrained=False, **arguments)
    except (TypeError, ValueError, AssertionError, RuntimeError, ZeroDivisionError) as error:
        given = ", ".join(f"{name}={value}" for name, value in arguments.items())
        hint = _argument_hint(error, source)
        raise UserError(
            f"timm cannot make {source} with {given}: {error}.{hint} Change img_size= or kwargs=."
        ) from error
    return network


def _argument_hint(error: Exception, source: str) -> str:
    """Return the valid names nearest to an argument that the constructor in a TypeError rejected."""
    unknown = re.match(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
    if unknown is None or not timm.is_model(source):
        return ""
    module = sys.modules[timm.model_entrypoint(source).__module__]
    constructor = getattr(module, unknown[1], None)
    return nearest(unknown[2], inspect.signature(constructor).parameters) if constructor else ""


def set_input_size(network: nn.Module, img_size: int) -> None:
    """Change the input size of a network built for a fixed one; position embeddings are resampled.

    Raises:
        UserError: If its architecture cannot change it, like an MLP-Mixer.
    """
    current = get_model_input_config(network)
    if not current["fixed_input_size"] or current["input_size"][1:] == (img_size, img_size):
        return
    if not hasattr(network, "set_input_size"):
        kind = type(bare(network)).__name__
        raise UserError(f"{kind} takes only its own input size, {current['input_size'][1:]} pixels.")
    network.set_input_size(img_size=(img_size, img_size))  # type: ignore[operator]


def check_input_size(network: nn.Module, name: str, img_size: int) -> None:
    """Check that a network accepts an image of a size that it was not built for.

    Raises:
        UserError: If it does not, like a vision transformer whose patches do not divide the size.
    """
    training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, img_size, img_size))
    except (AssertionError, IndexError, RuntimeError, ValueError) as error:
        raise UserError(
            f"{name} takes no images of {img_size} x {img_size} pixels ({error}); change img_size=."
        ) from error
    network.train(training)
