"""BatchNorm whose statistics are those of the batches of all processes."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from timm.layers.norm_act import convert_sync_batchnorm
from torch import nn

BatchNorm = nn.modules.batchnorm._BatchNorm


@contextmanager
def synchronized(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Replace the BatchNorm layers of networks by synchronised ones within the block.

    timm's conversion keeps the activation that its layers contain; torch's, which Lightning calls, drops it. Weights
    and statistics are the same tensors, under the same names.
    """
    layers = [
        (parent, name, layer)
        for network in networks
        for parent in network.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, BatchNorm)
    ]
    for parent, name, layer in layers:
        setattr(parent, name, convert_sync_batchnorm(layer))  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        for parent, name, layer in layers:
            synchronous = getattr(parent, name)
            layer._buffers.update(synchronous._buffers)  # which have moved to the device since
            layer.train(synchronous.training)
            setattr(parent, name, layer)
