"""The features of a network: what its classifier layer is given."""

from typing import Any

import torch
from torch import Tensor, nn

from ktlight.errors import UserError


class FeatureTap:
    """Catches the features of a network while it computes its logits.

    The hooks stay on the network for good and listen only when told to: a compiled network does not notice hooks that
    come and go.

    Args:
        network: A network of timm, or any with ``get_classifier()`` in timm's sense.
        name: What the user calls it.

    Attributes:
        width: Number of features, D.
        listening: Whether features are caught.
        seen: Those caught, ``[B, D_l]`` of each classifier layer.

    Raises:
        UserError: It has no classifier layer.
    """

    def __init__(self, network: nn.Module, name: str) -> None:
        layers = classifier_layers(network)
        if not layers:
            raise UserError(
                f"{name} ({type(network).__name__}) has no classifier layer whose input could serve as features, which "
                "method=cd and method=crd need: use a model of timm with num_classes > 0, give your own network timm's "
                "get_classifier(), or choose a method that needs logits only, e.g. method=kl"
            )
        self.width = sum(map(_width, layers))
        self.listening = False
        self.seen: list[Tensor] = []
        for layer in layers:
            layer.register_forward_pre_hook(self._catch)
        if network._compiled_call_impl is not None:
            torch.compiler.reset()  # what was compiled before would pass the hooks by

    def _catch(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if self.listening:
            self.seen.append(inputs[0].flatten(1))

    def take(self) -> Tensor:
        """Return the features ``[B, D]`` of the last pass, those of several classifier layers side by side."""
        features_BD, self.seen = torch.cat(self.seen, 1), []
        return features_BD


def classifier_layers(network: Any) -> list[nn.Module]:
    """Return the layers with weights that give the logits; distilled and multi-branch networks have several."""
    if not hasattr(network, "get_classifier"):
        return []
    answer = network.get_classifier()
    layers = list(answer) if isinstance(answer, tuple | list | nn.ModuleList) else [answer]
    # a few of timm answer with the whole head, which pools first; the features are what its last layer is given
    layers = [getattr(layer, "fc", layer) for layer in layers]
    return [layer for layer in layers if isinstance(layer, nn.Module) and any(True for _ in layer.parameters())]


def _width(layer: nn.Module) -> int:
    """Return how many numbers a layer takes: the second size of its first matrix, linear or convolution."""
    return next(int(parameter.shape[1]) for parameter in layer.parameters() if parameter.ndim >= 2)
