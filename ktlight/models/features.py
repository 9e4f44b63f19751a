"""The features of a network: the input of its classifier layer."""

from typing import Any

import torch
from torch import Tensor, nn

from ktlight.errors import UserError


class FeatureTap:
    """Captures the features of a network while it computes its logits.

    The hooks stay on the network permanently and are switched on and off: a compiled network does not notice hooks
    being added or removed.

    Args:
        network: A timm network, or any other with timm's ``get_classifier()``.
        name: The user's name for it.

    Attributes:
        width: Number of features, D.
        listening: Whether features are being captured.
        seen: The captured features, ``[B, D_l]`` of each classifier layer.

    Raises:
        UserError: If it has no classifier layer.
    """

    def __init__(self, network: nn.Module, name: str) -> None:
        layers = classifier_layers(network)
        if not layers:
            raise UserError(
                f"{name} ({type(network).__name__}) has no classifier layer whose input could serve as features, which "
                "methods such as method=cd learn from: use a model of timm with num_classes > 0, give your own network "
                "timm's get_classifier(), or choose a method that needs logits only, e.g. method=kl"
            )
        self.width = sum(map(_width, layers))
        self.listening = False
        self.seen: list[Tensor] = []
        for layer in layers:
            layer.register_forward_pre_hook(self._catch)
        if network._compiled_call_impl is not None:
            torch.compiler.reset()  # code compiled earlier would bypass the hooks

    def _catch(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if self.listening:
            features = inputs[0]
            if isinstance(layer, nn.Conv2d) and features.shape[-1] * features.shape[-2] > 1:
                features = features.mean((2, 3))  # its logits are means over positions, as in SqueezeNet
            self.seen.append(features.flatten(1))

    def take(self) -> Tensor:
        """Return the features ``[B, D]`` of the last pass, concatenated over classifier layers."""
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
    """Return the number of inputs of a layer: the second dimension of its first matrix, linear or convolution."""
    return next(int(parameter.shape[1]) for parameter in layer.parameters() if parameter.ndim >= 2)
