"""Which outputs can be stored: those that are a function of the sample."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ktlight.data.ordered import OrderedView
from ktlight.errors import UserError
from ktlight.models.classifier import Classifier
from ktlight.store.form import Form
from ktlight.types import Batch

PROBE = 4  # rows computed twice
SAME = 8  # rounding errors, relative to the largest logit, within which two outputs count as equal


class Unrepeatable(UserError):  # noqa: N818
    """Outputs that are not a function of the sample, so that storing them would change the run."""


@dataclass(frozen=True)
class Outputs:
    """A model's requested outputs, and the form to store them in.

    Attributes:
        classifier: The model.
        views: The views to compute; they differ only in their number.
        form: What to store, and how.
        asked_again: Whether this run or a similar one will need the same again, so that storing pays off.
    """

    classifier: Classifier
    views: Sequence[OrderedView]
    form: Form
    asked_again: bool = True


def check_repeatable(wanted: Outputs) -> None:
    """Raise `Unrepeatable` if it is clear in advance that a sample's output would vary."""
    who = f"the outputs of {wanted.classifier.name} are not stored, since"
    if any(module.training for module in wanted.classifier.modules()):
        raise Unrepeatable(f"{who} it is in training mode")
    if not wanted.views[0].repeatable:
        raise Unrepeatable(f"{who} the data's own transforms may be random")


def probe(wanted: Outputs, answer: Callable[[Outputs, Batch], Tensor]) -> Tensor:
    """Return the outputs of a few rows as they are stored, if they are the same when computed in another batch.

    Args:
        wanted: The outputs.
        answer: Computes those of a batch.

    Raises:
        Unrepeatable: If they are not the same.
    """
    view = replace(wanted.views[0], batch_size=2 * PROBE, workers=0)
    companies = (view.rows[: 2 * PROBE], np.concatenate([view.rows[:PROBE], view.rows[2 * PROBE : 3 * PROBE]]))
    batches = [next(iter(replace(view, rows=rows).batches())) for rows in companies]
    first, second = (answer(wanted, batch)[:PROBE] for batch in batches)
    if not (first - second).abs().max() <= SAME * torch.finfo(first.dtype).eps * first.abs().max():
        raise Unrepeatable(
            f"the outputs of {wanted.classifier.name} are not stored, since it answers the same images differently "
            "each time (dropout that stays on in evaluation mode?)"
        )
    return wanted.form.pack(first, batches[0]["label"][:PROBE].to(first.device))
