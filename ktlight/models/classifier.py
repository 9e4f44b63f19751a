"""A network and its own preprocessing: raw images in, logits out."""

import copy
import hashlib
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor, nn

from ktlight.functional.geometry import Framing
from ktlight.models.features import FeatureTap
from ktlight.models.label_map import LabelMap
from ktlight.models.network import check_input_size
from ktlight.models.preprocess import Preprocess
from ktlight.models.provenance import Provenance

BatchNorm = nn.modules.batchnorm._BatchNorm
Identity = tuple[str, str | None]
"""Hash of a model's weights, and the identity of its label map, None if it has none."""


class Classifier(nn.Module):
    """A network with its own preprocessing, so that all classifiers take the same raw batch.

    Args:
        network: Maps preprocessed images to logits ``[B, C]``.
        preprocess: Maps raw images to the input of ``network``; ``nn.Identity()`` for a user's own network.
        name: The user's name for it.
        architecture: The library's name without a tag, or the name of the user's own class.
        num_classes: Number of the network's logits.

    Attributes:
        num_classes: Number of classes that it answers in, C: the network's own, unless it has a label map.
        label_map: How the network's own classes answer in the data's; None if they are the data's.
        sliced: The facts of the map by which its head was sliced; None if it was not.
        class_names: In the order of the logits; None if nothing says that these are its classes.
        provenance: Where the weights came from; None if unknown.
        frozen: Whether it can no longer change.
        keeps_statistics: Whether its BatchNorm layers compute with the statistics it came with even in training.
    """

    class_names: tuple[str, ...] | None = None
    sliced: dict[str, Any] | None = None
    provenance: Provenance | None = None
    storable: bool = True
    """Whether looking up its outputs can be faster than computing them."""

    def __init__(
        self, network: nn.Module, preprocess: nn.Module, *, name: str, architecture: str, num_classes: int
    ) -> None:
        super().__init__()
        self.network = network
        self.preprocess = preprocess
        self.name = name
        self.architecture = architecture
        self.num_classes = num_classes
        self.label_map: LabelMap | None = None
        self.frozen = False
        self.keeps_statistics = False
        self._hash: str | None = None

    @classmethod
    def from_network(cls, network: nn.Module, *, name: str, **overrides: Any) -> Self:
        """Wrap a network made by timm, with the preprocessing recorded in it.

        Args:
            network: A timm network.
            name: The user's name for it.
            overrides: Settings that replace recorded ones; see :meth:`Preprocess.from_network`.

        Raises:
            UserError: If the network does not accept images of ``img_size`` pixels.
        """
        recorded: Any = network  # timm adds attributes that nn.Module does not declare
        if overrides.get("img_size") is not None:
            check_input_size(network, name, overrides["img_size"])
        return cls(
            network,
            Preprocess.from_network(network, **overrides),
            name=name,
            architecture=recorded.pretrained_cfg["architecture"],
            num_classes=recorded.num_classes,
        )

    @property
    def framing(self) -> Framing | None:
        """How plain images are prepared for this model; None for a user's own network (the canvas)."""
        return self.preprocess.framing if isinstance(self.preprocess, Preprocess) else None

    @property
    def own_classes(self) -> int:
        """Number of the network's own classes, Z."""
        return self.num_classes if self.label_map is None else self.label_map.own_classes

    @property
    def labels(self) -> dict[str, Any]:
        """How its classes came to be the data's, as a run's results record it; see `LabelMap.facts`."""
        if self.label_map is None:
            return {"how": "same", "sliced": False} if self.sliced is None else {**self.sliced, "sliced": True}
        names = self.class_names or tuple(map(str, range(self.num_classes)))
        return {**self.label_map.facts(names), "sliced": False}

    def identity(self) -> Identity:
        """Return what tells its answers from other models': its weights, and the identity of its label map, if any."""
        return self.weights_hash(), None if self.label_map is None else self.label_map.identity

    def answer_in(self, label_map: LabelMap) -> None:
        """Answer in the data's classes from now on."""
        self.label_map, self.num_classes = label_map.train(self.training), label_map.num_classes

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits ``[B, C]`` of raw images ``uint8 [B, 3, H, W]``: plain ones framed, or square views."""
        return self.in_data_classes(self.own_logits(image))

    def own_logits(self, image: Tensor) -> Tensor:
        """Return the logits in the network's own classes, ``[B, Z]``, which are what is stored."""
        logits: Tensor = self.network(self.preprocess(image))
        return logits

    def in_data_classes(self, own_logits_BZ: Tensor) -> Tensor:
        """Return logits in the data's classes, ``[B, C]``: the network's own, unless there is a label map."""
        return own_logits_BZ if self.label_map is None else self.label_map(own_logits_BZ).logits_BC

    @cached_property
    def feature_tap(self) -> FeatureTap:
        """Captures the network's features.

        Raises:
            UserError: If the network has no classifier layer, hence no features.
        """
        return FeatureTap(self.network, self.name)

    def logits_and_features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the own logits ``[B, Z]`` and, from the same pass, the features ``[B, D]`` they are computed from.

        A network that learns has no label map, so these are its logits in the data's classes.

        Raises:
            UserError: If the network has no features.
        """
        tap = self.feature_tap
        tap.listening = True
        try:
            # a call of the module, where it is that, gathers a network that is divided among processes
            logits_BZ = self(image) if self.label_map is None else self.own_logits(image)
            return logits_BZ, tap.take()
        finally:
            tap.listening, tap.seen = False, []

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; a frozen copy stays in evaluation, and so do kept statistics."""
        super().train(mode and not self.frozen)
        if self.keeps_statistics:
            for layer in batchnorm_layers(self.network):
                layer.training = False  # not what a layer of timm contains
        return self

    def frozen_copy(self) -> Self:
        """Return a copy that cannot change: no gradients, and evaluation mode even after ``train()``.

        A frozen classifier returns itself.
        """
        return self if self.frozen else copy.deepcopy(self).freeze()

    def freeze(self) -> Self:
        """Freeze the classifier in place and return it."""
        self.frozen, self._hash = True, None
        return self.eval().requires_grad_(False)

    def weights_hash(self) -> str:
        """Return the SHA-256 of the network's state dict: names, types, shapes and values, ordered by name.

        Computed only once for a frozen classifier.
        """
        if not self.frozen:
            return _state_hash(self.network)
        if self._hash is None:
            self._hash = _state_hash(self.network)
        return self._hash


def batchnorm_layers(network: nn.Module) -> list[BatchNorm]:
    """Return a network's BatchNorm layers that have statistics."""
    return [layer for layer in network.modules() if isinstance(layer, BatchNorm) and layer.track_running_stats]


def _state_hash(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
