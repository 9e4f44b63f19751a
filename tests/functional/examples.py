"""Random cases, and slow references written out in plain Python that share no code with what they check."""

import math

import torch
from hypothesis import strategies as st
from torch import Tensor


def random_logits(seed: int, *shape: int, scale: float = 2.0, dtype: torch.dtype = torch.float64) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def random_classes(seed: int, samples: int, classes: int) -> Tensor:
    return torch.randint(classes, (samples,), generator=torch.Generator().manual_seed(seed))


def softmax(row: list[float], temperature: float = 1.0) -> list[float]:
    largest = max(row)
    powers = [math.exp((value - largest) / temperature) for value in row]
    return [power / math.fsum(powers) for power in powers]


def confidences(logits_MBC: Tensor, labels_B: Tensor | None) -> list[list[float]]:
    """Softmax of every row in a loop: at the label, or its largest entry without labels."""
    return [
        [
            max(softmax(row)) if labels_B is None else softmax(row)[int(labels_B[sample])]
            for sample, row in enumerate(source)
        ]
        for source in logits_MBC.tolist()
    ]


@st.composite
def predictions(draw: st.DrawFn, models: int) -> tuple[Tensor, ...]:
    """Draw the predictions of some models, then the labels, of the same few samples."""
    classes = draw(st.integers(2, 4))
    samples = draw(st.integers(1, 30))
    column = st.lists(st.integers(0, classes - 1), min_size=samples, max_size=samples)
    return tuple(torch.tensor(draw(column)) for _ in range(models + 1))
