"""Networks whose parameters are spread over processes (FSDP2), and tensors that are a part of a whole."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

LARGEST_UNIT = 2**25
"""Parameters that are whole at a time, besides those outside of blocks: 134 MB in float32, above a block of ViT-g."""


def shard(module: nn.Module, mesh: DeviceMesh) -> None:
    """Give each process of a mesh its part of a module's parameters, in place.

    A unit is whole only while it computes. Buffers, such as the statistics of BatchNorm, are not divided.
    """
    for unit in (*units(module), module):
        fully_shard(unit, mesh=mesh, reshard_after_forward=True)


def units(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the parts of a network to gather one by one: its blocks, or the stages that they are in, if small.

    These are elements of ``Sequential`` and ``ModuleList``: the parts that networks call, and not only read.
    """
    for child in module.children():
        if not isinstance(module, nn.Sequential | nn.ModuleList) or size(child) > LARGEST_UNIT:
            yield from units(child)
        elif size(child) and not isinstance(child, nn.ModuleList):
            yield child


def size(module: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def whole(value: Any) -> Any:
    """Return a tensor, gathered if each process has a part; anything else as it is. All processes must ask."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def part_like(tensor: Tensor, like: Tensor) -> Tensor:
    """Return a tensor that every process has whole on the device of another one, divided among them as that one is."""
    if not isinstance(like, DTensor) or isinstance(tensor, DTensor):
        return tensor.to(like.device)
    placed = tensor.to(like.device)
    return distribute_tensor(placed, like.device_mesh, like.placements, src_data_rank=None)


def own_part(tensor: Tensor) -> Tensor:
    """Return this process's part of a tensor, sharing its memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


@torch.no_grad()
def share_buffers(module: nn.Module) -> None:
    """Give every process the first one's buffers, as DistributedDataParallel does before each forward pass."""
    for buffer in module.buffers():
        torch.distributed.broadcast(buffer, 0)
