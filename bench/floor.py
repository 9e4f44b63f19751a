"""Lower bounds on a training step: the operations and bytes that it needs."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from ktlight.models.classifier import Classifier

OPTIMIZER_PASSES = 5  # SGD with momentum reads weight, gradient and momentum, and writes weight and momentum
WEIGHT_PASSES = 3  # read forward, read backward, gradient written


@dataclass(frozen=True)
class Cost:
    """The minimum cost of a computation.

    Attributes:
        operations: Floating-point operations of matrix products and convolutions.
        bytes: Weights, gradients and optimiser state at every pass over them, and tensors saved for the backward pass,
            written once and read once.
    """

    operations: float
    bytes: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.operations + other.operations, self.bytes + other.bytes)

    def __str__(self) -> str:
        return f"{self.operations / 1e9:.1f} GFLOP, {self.bytes / 1e6:.0f} MB"


def training_cost(student: Classifier, images: Tensor, labels: Tensor) -> Cost:
    """Return the cost of one step of plain fine-tuning."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    student.train()
    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(note, lambda tensor: tensor):
        cross_entropy(student(images), labels).backward()
    weights = {parameter.data_ptr(): 4 * parameter.numel() for parameter in student.parameters()}
    activations = sum(size for pointer, size in kept.items() if pointer not in weights)
    student.zero_grad()
    passes = WEIGHT_PASSES + OPTIMIZER_PASSES
    return Cost(counter.get_total_flops(), passes * sum(weights.values()) + 2 * activations)


@torch.no_grad()
def forward_cost(frozen: Classifier, images: Tensor) -> Cost:
    """Return the cost of one forward pass of a frozen model: weights are read once, activations stay in cache."""
    with FlopCounterMode(display=False) as counter:
        frozen(images)
    return Cost(counter.get_total_flops(), sum(4 * parameter.numel() for parameter in frozen.parameters()))
