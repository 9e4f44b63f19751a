"""Networks with the same weights that compute something else have another structure."""

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from ktlight.store.structure import structure


class Plain(nn.Linear):
    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image)


class Activated(nn.Linear):
    """With an activation that is no module, as many networks have it."""

    def __init__(self, activation: Callable[..., Tensor], **settings: Any) -> None:
        super().__init__(2, 2)
        self.activation = activation
        vars(self).update(settings)

    def forward(self, image: Tensor) -> Tensor:
        return self.activation(super().forward(image))


def scaled(factor: float) -> Callable[[Tensor], Tensor]:
    return lambda image: image * factor


def other_forward() -> nn.Module:
    class Plain(nn.Linear):
        def forward(self, image: Tensor) -> Tensor:
            return 9 * super().forward(image)

    Plain.__module__, Plain.__qualname__ = __name__, "Plain"
    return Plain(2, 2)


def with_helper(constant: float) -> nn.Module:
    class Helped(nn.Linear):
        def forward(self, image: Tensor) -> Tensor:
            return self.helper(super().forward(image))

    source = f"def helper(self, image): return image * {constant}"
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    Helped.helper = namespace["helper"]
    return Helped(2, 2)


def buffered(mean: float) -> nn.Module:
    module = nn.Linear(2, 2)
    module.register_buffer("mean", torch.tensor(mean), persistent=False)
    return module


DIFFERENT: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module]]] = {
    "function": (lambda: Activated(torch.relu), lambda: Activated(torch.tanh)),
    "python function": (lambda: Activated(nn.functional.relu), lambda: Activated(nn.functional.gelu)),
    "lambda": (lambda: Activated(lambda image: image + 1), lambda: Activated(lambda image: image + 2)),
    "closure": (lambda: Activated(scaled(1.0)), lambda: Activated(scaled(9.0))),
    "partial": (
        lambda: Activated(functools.partial(nn.functional.gelu, approximate="tanh")),
        lambda: Activated(nn.functional.gelu),
    ),
    "tensor": (lambda: Activated(torch.relu, scale=torch.ones(2)), lambda: Activated(torch.relu, scale=torch.zeros(2))),
    "dictionary": (
        lambda: Activated(torch.relu, how={"pool": "avg"}),
        lambda: Activated(torch.relu, how={"pool": "max"}),
    ),
    "forward": (lambda: Plain(2, 2), other_forward),
    "helper of forward": (lambda: with_helper(1.0), lambda: with_helper(9.0)),
    "buffer outside the state dict": (lambda: buffered(0.5), lambda: buffered(0.25)),
    "module": (lambda: nn.Sequential(nn.ReLU()), lambda: nn.Sequential(nn.GELU())),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_computes_something_else_has_another_structure(name: str) -> None:
    left, right = DIFFERENT[name]
    assert structure(left()) == structure(left())
    assert structure(right()) == structure(right())
    assert structure(left()) != structure(right())


def test_mode_hooks_and_compilation_do_not_count() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    before = structure(network)
    network.eval().register_forward_hook(lambda *_: None)
    network.compile()
    network[0].weight.requires_grad_(False)
    assert structure(network) == before


def test_every_process_finds_the_same() -> None:
    code = "import timm; from ktlight.store.structure import structure; print(structure(timm.create_model('test_vit')))"
    environments = [{**os.environ, "PYTHONHASHSEED": seed} for seed in ("1", "2")]
    said = {
        subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout.strip()
        for env in environments
    }
    assert said == {structure(timm.create_model("test_vit"))}
