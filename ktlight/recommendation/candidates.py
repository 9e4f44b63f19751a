"""What may be done to a student: a teacher and a method each."""

from collections.abc import Sequence
from dataclasses import dataclass

from ktlight.errors import UserError
from ktlight.models.classifier import Classifier


@dataclass(frozen=True)
class Candidate:
    """What may be done to a student.

    Attributes:
        student: Frozen.
        teacher: Frozen.
        method: Its name.
    """

    student: Classifier
    teacher: Classifier
    method: str


def check_different(student: Classifier, teachers: Sequence[Classifier]) -> None:
    """Raise `UserError` if a model is given twice, by its weights."""
    seen = {student.weights_hash(): student}
    for teacher in teachers:
        twin = seen.setdefault(teacher.weights_hash(), teacher)
        if twin is student:
            raise UserError(f"{teacher.name} in models=[...] is the student itself: leave it out there")
        if twin is not teacher:
            raise UserError(f"{twin.name} and {teacher.name} in models=[...] have the same weights: give one of them")


def unique_names(models: Sequence[Classifier]) -> list[str]:
    """Return what to call models: names that occur twice are told apart by the weights."""
    names = [model.name for model in models]
    return [
        name if names.count(name) == 1 else f"{name}-{model.weights_hash()[:8]}"
        for name, model in zip(names, models, strict=True)
    ]
