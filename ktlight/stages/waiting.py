"""A student that is about to learn, with all that its training needs."""

from collections.abc import Mapping
from dataclasses import dataclass

from ktlight.answers.ask import Answers
from ktlight.models.classifier import Classifier
from ktlight.report.folder import RunFolder
from ktlight.stages.schedule import SCHEDULES, Outcome
from ktlight.stages.setting import Setting


@dataclass(frozen=True)
class Waiting:
    """A student that is about to learn.

    Attributes:
        setting: Shared by all stages.
        student: Changed in place by its training; it may be the student's head alone.
        teachers: By role.
        folder: Of the run.
        before: All models' predictions on the test samples before training.
    """

    setting: Setting
    student: Classifier
    teachers: Mapping[str, Classifier]
    folder: RunFolder
    before: Answers

    def alone(self) -> Outcome:
        """Train it by the config's schedule, and return the outcome."""
        schedule = SCHEDULES[self.setting.config.schedule.name]
        return schedule(self.setting, self.student, self.teachers, self.folder, self.before)
