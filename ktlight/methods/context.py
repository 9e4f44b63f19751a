"""What a method knows about the training it is used in."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ktlight.functional.randomness import IntArray
from ktlight.types import Batch


@dataclass(frozen=True)
class TrainingContext:
    """The training samples and how they are batched.

    Attributes:
        rows: Index of each training sample within its split, ``int64 [n]``.
        labels: Its class, ``int64 [n]``.
        seed: Of the run.
        batch_size: Per process.
        effective_batch: Samples behind one optimiser step, over all processes.
        holdout: Yields the held-out training images: a batch of the same rows for each network.
        holdout_size: Number of held-out images.
        source_widths: Number of features of each source that the sample router queries, if features are used.
    """

    rows: IntArray
    labels: IntArray
    seed: int
    batch_size: int
    effective_batch: int
    holdout: Callable[[], Iterable[list[Batch]]]
    holdout_size: int
    source_widths: tuple[int, ...] = ()
