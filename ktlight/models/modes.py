"""Evaluation mode for a while, and back to exactly what was before."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode within the block; after it every part is in the mode it was in.

    ``train(mode)`` would put all parts into one mode, also those that are kept in evaluation mode because they do not
    learn.
    """
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
