"""dist: its loss from a loop over rows and columns, with samples left out and samples that weigh more."""

from typing import Any

import numpy as np
import pytest
import tiny
import torch
from scipy.stats import pearsonr

from ktlight.methods.correlation import DIST
from tests.methods.routed import COUNT, label_loss, loss_of, routed_batch, student_logits


def dist(**options: Any) -> DIST:
    defaults = {"beta": 2.0, "gamma": 3.0, "temperature": 1.0, "label_weight": 1.0}
    return DIST([tiny.classifier(0)], tiny.optimization(), name="dist", **{**defaults, **options})


def loop(batch: Any, logits_BC: torch.Tensor, weights: list[float], tau: float) -> tuple[float, float]:
    """Return the rows and the columns of the published formula, over the samples that are taught."""
    p, q = ((each.double() / tau).softmax(1).numpy() for each in (batch["target"], logits_BC))
    taught = [row for row in range(COUNT) if batch["source"][row] >= 0]
    rows = sum(weights[row] * (1 - pearsonr(p[row], q[row]).statistic) for row in taught) / COUNT
    columns = np.mean([1 - pearsonr(p[taught, c], q[taught, c]).statistic for c in range(tiny.CLASSES)])
    return tau**2 * rows, tau**2 * float(columns) * len(taught) / COUNT


@pytest.mark.parametrize("tau", [1.0, 4.0])
@pytest.mark.parametrize("left_out", [(), (1, 4)])
def test_the_loss_equals_a_loop_over_rows_and_columns(left_out: tuple[int, ...], tau: float) -> None:
    batch, logits_BC = routed_batch(left_out), student_logits()
    rows, columns = loop(batch, logits_BC, [1.0] * COUNT, tau)
    label = label_loss(logits_BC, batch["label"], [row for row in range(COUNT) if row not in left_out])
    loss, _ = loss_of(dist(temperature=tau), batch)
    assert float(loss) == pytest.approx(2 * rows + 3 * columns + label, rel=1e-5)


def test_weights_of_samples_count_in_rows_and_not_in_columns() -> None:
    batch, weights = routed_batch((2,)), [1.0, 2.0, 3.0, 0.0, 5.0, 0.5]
    rows, columns = loop(batch, student_logits(), weights, 1.0)
    terms = dist().terms([student_logits()], {**batch, "weight": torch.tensor(weights)})
    assert float(terms["soft"]) == pytest.approx(2 * rows + 3 * columns, rel=1e-5)
