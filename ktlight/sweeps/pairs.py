"""The runs of a sweep over pairs: every student with every teacher, by every method, with every seed."""

import json
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from ktlight.config.identity import VOLATILE, resolved
from ktlight.config.instantiate import check_parts
from ktlight.config.methods import OF_THE_SWEEP, MethodEntry, method_entries
from ktlight.config.models import OPTIONS, listed_models, teacher_roles
from ktlight.config.overrides import checked
from ktlight.config.swept import (
    LISTS,
    RECOMMENDED,
    SINGLE,
    paired_models,
    recommended,
    swept_models,
    swept_seeds,
)
from ktlight.errors import UserError
from ktlight.models.spec import ModelConfig
from ktlight.report.recommendation import RECOMMENDATIONS, read_rows
from ktlight.report.runs import folders_of
from ktlight.sweeps.asked import asked
from ktlight.sweeps.composition import SweepLoader
from ktlight.sweeps.options import model_options, teacher_options

NOT_OF_A_RUN = (*LISTS, *OF_THE_SWEEP)
"""Options of the sweep, which its runs do not have."""


class Pair(NamedTuple):
    """A student and a teacher."""

    student: ModelConfig
    teacher: ModelConfig


class PairRun(NamedTuple):
    """A run of the sweep.

    Attributes:
        student: Its student.
        teachers: Its teachers, nearly always one.
        method: What it was given in ``methods``.
        shared: Its options but for the models.
        overrides: All its options.
    """

    student: ModelConfig
    teachers: tuple[ModelConfig, ...]
    method: MethodEntry
    shared: tuple[str, ...]
    overrides: tuple[str, ...]

    @property
    def models(self) -> dict[str, ModelConfig]:
        """Its models by role."""
        return {"student": self.student, **dict(zip(teacher_roles(len(self.teachers)), self.teachers, strict=True))}


def pair_runs(config: DictConfig, loader: SweepLoader, variants: Sequence[Sequence[str]]) -> list[PairRun]:
    """Return the runs of a sweep over pairs.

    Args:
        config: Of the sweep.
        loader: Composes the configs of its runs.
        variants: The options of the runs besides, one list for each combination that was typed.

    Raises:
        UserError: The lists cannot be read, or no pair is left.
    """
    pairs, entries, seeds = swept_pairs(config), method_entries(config), swept_seeds(config)
    runs = []
    for variant, entry in product(variants, entries):
        groups = taught(pairs, entry, composed_entry(loader, variant, entry))
        for seed, (student, teachers) in product(seeds, groups):
            shared = (*variant, *entry.options, f"seed={seed}")
            models = (*model_options(config, "student", student), *teacher_options(config, teachers, entry.together))
            runs.append(PairRun(student, teachers, entry, shared, (*variant, *models, *shared[len(variant) :])))
    return runs


def taught(
    pairs: Sequence[Pair], entry: MethodEntry, config: DictConfig
) -> list[tuple[ModelConfig, tuple[ModelConfig, ...]]]:
    """Return the student and the teachers of each run of an entry of ``methods``.

    Args:
        pairs: All pairs.
        entry: The entry.
        config: Of such a run, which says whether it has a teacher; without one it is the same for every pair of a
            student, and done with the first.
    """
    if not entry.together and "teacher" in asked(config):
        return [(pair.student, (pair.teacher,)) for pair in pairs]
    by_student: dict[str, tuple[ModelConfig, tuple[ModelConfig, ...]]] = {}
    for student, teacher in pairs:
        _, others = by_student.get(repr(student), (student, ()))
        by_student[repr(student)] = student, (*others, teacher)
    return [(student, teachers if entry.together else teachers[:1]) for student, teachers in by_student.values()]


def composed_entry(loader: SweepLoader, variant: Sequence[str], entry: MethodEntry) -> DictConfig:
    """Return the config of a run of an entry of ``methods``, whose options are checked as typed ones are.

    Raises:
        UserError: There is no such option, or it cannot have the value.
    """
    config = checked(entry.options, lambda options: loader.composed([*variant, *options]))
    check_parts(config)
    return config


def of_the_runs(typed: Sequence[str], config: DictConfig) -> list[str]:
    """Return the typed options that the runs of the sweep take over.

    Raises:
        UserError: One gives what a list gives.
    """
    kept = []
    for option in typed:
        key = option.lstrip("+~").partition("=")[0]
        if key in SINGLE:
            raise UserError(
                f"{option}: a sweep over pairs takes lists: write '{SINGLE[key]}=[{option[len(key) + 1 :]}]'"
            )
        if key.partition(".")[0] not in NOT_OF_A_RUN and not key.startswith(("hydra.", "hydra/")):
            kept.append(option)
    experiment = config.sweep.experiment
    return [*([] if experiment is None else [f"experiment={experiment}"]), *kept]


def check_experiment(config: DictConfig, loader: SweepLoader, typed: Sequence[str], run: PairRun) -> None:
    """Check that the runs lose nothing that the experiment of the sweep says.

    Raises:
        UserError: They do.
    """
    experiment = [option for option in typed if option.partition("=")[0].lstrip("+") == "experiment"]
    own = loader.composed(run.shared)
    whole = loader.composed([*run.shared, *experiment])  # of two experiments, Hydra takes the last
    for key in map(str, own):
        if key not in (*VOLATILE, *LISTS, "task") and resolved(own, key) != resolved(whole, key):
            raise UserError(
                f"{experiment[-1]} sets options of the runs ({key}), which are not those of the sweep: put them into a "
                "file of their own, conf/experiment/NAME.yaml, and name it there: sweep: {experiment: NAME}"
            )


def swept_pairs(config: DictConfig) -> list[Pair]:
    """Return the pairs, none of a model with itself."""
    pattern = recommended(config)
    if pattern is not None:
        return list(recommended_pairs(config, pattern))
    if config.pairs:
        listed = paired_models(config)
    else:
        listed = [(swept_models(config, "student"), swept_models(config, "teacher"))]
    pairs = [Pair(*pair) for models in listed for pair in product(*models) if not _are_same(*pair)]
    if not pairs:
        raise UserError("no pair is left, since a model does not learn from itself: give another one in teachers=[...]")
    return pairs


def recommended_pairs(config: DictConfig, pattern: str) -> Iterator[Pair]:
    """Yield each recommended student with the teachers that a recommendation ranks above doing nothing.

    Raises:
        UserError: A folder holds no recommendation, or none that says to do anything.
    """
    option = f"teachers={RECOMMENDED}{pattern}"
    found = False
    for folder in folders_of(pattern.split(","), f"teachers={RECOMMENDED}"):
        rows = read_rows(folder, RECOMMENDATIONS)
        if not rows or not (folder / "results.json").exists() or not (folder / "config.yaml").exists():
            raise UserError(f"{option}: {folder} holds no finished recommendation (task=recommend)")
        made: Any = OmegaConf.load(folder / "config.yaml")
        named = dict(zip(_called(folder), listed_models(made, "models"), strict=True))
        student: Any = OmegaConf.to_container(made.student)
        above = [row["teacher"] for row in rows[: next(n for n, row in enumerate(rows) if not row["teacher"])]]
        for teacher in dict.fromkeys(above):
            found = True
            yield Pair(ModelConfig(**student), named[teacher])
    if not found:
        raise UserError(f"{option}: doing nothing is what is recommended there")


def _are_same(student: ModelConfig, teacher: ModelConfig) -> bool:
    return all(getattr(student, name) == getattr(teacher, name) for name in ("architecture", *OPTIONS))


def _called(folder: Path) -> list[str]:
    """Return what the models of a recommendation are called there, in their order: twins by their weights."""
    models = json.loads((folder / "results.json").read_text())["models"]
    facts = [models[f"model{number}"] for number in range(1, len(models))]
    names = [each["name"] for each in facts]
    return [
        name if names.count(name) == 1 else f"{name}-{each['weights'][:8]}"
        for name, each in zip(names, facts, strict=True)
    ]
