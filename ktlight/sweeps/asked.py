"""Which models a run asks, by its config alone: whether it has a teacher, for how long, and what it keeps."""

from collections.abc import Sequence
from typing import NamedTuple

from omegaconf import DictConfig

from ktlight.config.instantiate import located, make

BOTH = frozenset({"student", "teacher"})


def asked(config: DictConfig) -> frozenset[str]:
    """Return the roles that a run learns from: ``student``, its frozen copy, and ``teacher``, whichever there are.

    A control such as self-distillation or label smoothing has no teacher, so that one run serves every pair of its
    student.
    """
    if config.method._target_ is None:
        return BOTH
    method = located(config.method._target_, "method")
    if method.has_peers or (method.routed and config.router._target_ is None):  # the latter, the run itself refuses
        return BOTH
    if not method.routed:
        return frozenset()
    return frozenset(source.name for source in make(config.router).candidates([_Source("student"), _Source("teacher")]))


def asked_about_views(config: DictConfig) -> frozenset[str]:
    """Return the roles whose outputs on training views a run keeps in the store."""
    kept = config.store.mode == "fill" or (config.store.mode == "auto" and config.data.views is not None)
    if not kept or config.router._target_ is None or config.method._target_ is None or config.transfer.part == "head":
        return frozenset()
    return asked(config)


def epochs_by_role(config: DictConfig, planned: int, roles: Sequence[str]) -> dict[str, int]:
    """Return for how many epochs each model learns or is asked: a teacher with a stage of its own during that alone.

    Args:
        config: Of a transfer.
        planned: Length of a single training; 0 if nothing is trained.
        roles: The student, then the teachers.
    """
    from ktlight.stages.schedule import stage_epochs  # it loads torch, and this file is imported with any command

    student, *teachers = roles
    alone = config.schedule.name != "parallel"
    stages = len(teachers) if alone else 1
    lengths = stage_epochs(config.schedule.total_epochs, planned, stages) if planned else [0] * stages
    return {student: sum(lengths), **dict(zip(teachers, lengths if alone else lengths * len(teachers), strict=True))}


class _Source(NamedTuple):
    """Stands for a source, of which a rule looks at the place only when it says which it chooses from."""

    name: str
