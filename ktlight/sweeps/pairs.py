"""The runs of a sweep over pairs: every student with every teacher, by every method, with every seed."""

import json
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from ktlight.config.identity import VOLATILE, resolved
from ktlight.config.literal import literal
from ktlight.config.methods import listed_methods
from ktlight.config.models import OPTIONS, listed_models, model_config
from ktlight.config.swept import LISTS, RECOMMENDED, SINGLE, recommended, swept_models, swept_seeds
from ktlight.errors import UserError
from ktlight.models.spec import ZOO_PREFIX, ModelConfig
from ktlight.report.recommendation import RECOMMENDATIONS, read_rows
from ktlight.report.runs import folders_of
from ktlight.sweeps.composition import SweepLoader

NOT_OF_A_RUN = (*LISTS, "experiment", "launcher", "sweep", "dry_run", "resume")
"""Options of the sweep, which its runs do not have."""


class Pair(NamedTuple):
    """A student and a teacher."""

    student: ModelConfig
    teacher: ModelConfig


class PairRun(NamedTuple):
    """A run of the sweep.

    Attributes:
        pair: Its models.
        shared: Its options but for the models.
        overrides: All its options.
    """

    pair: Pair
    shared: tuple[str, ...]
    overrides: tuple[str, ...]


def pair_runs(config: DictConfig, variants: Sequence[Sequence[str]]) -> list[PairRun]:
    """Return the runs of a sweep over pairs.

    Args:
        config: Of the sweep.
        variants: The options of the runs besides, one list for each combination that was typed.

    Raises:
        UserError: The lists cannot be read, or no pair is left.
    """
    pairs, methods, seeds = swept_pairs(config), listed_methods(config, "methods"), swept_seeds(config)
    runs = []
    for variant, method, seed in product(variants, methods, seeds):
        shared = (*variant, f"method={method}", f"seed={seed}")
        for pair in pairs:
            models = (*model_options(config, "student", pair.student), *model_options(config, "teacher", pair.teacher))
            runs.append(PairRun(pair, shared, (*variant, *models, *shared[len(variant) :])))
    return runs


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
    whole = loader.composed([*experiment, *run.shared])
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
    students, teachers = swept_models(config, "student"), swept_models(config, "teacher")
    pairs = [Pair(*pair) for pair in product(students, teachers) if not _are_same(*pair)]
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


def model_options(config: DictConfig, role: str, model: ModelConfig) -> list[str]:
    """Return the options that make a model the student or the teacher, as typed for a single run."""
    shared = model_config(config[role])
    name = model.name
    if model.checkpoint and model.checkpoint.startswith(ZOO_PREFIX) and not model.architecture:
        name = _architecture_in_zoo(model.checkpoint)
    options = [f"{role}={name}"]
    for option in OPTIONS:
        value = getattr(model, option)
        if option == "kwargs":
            options += [f"++{role}.kwargs.{key}={literal(value[key])}" for key in value if value != shared.kwargs]
        elif value != getattr(shared, option):
            options.append(f"{role}.{option}={literal(value)}")
    return options


def _architecture_in_zoo(checkpoint: str) -> str:
    from ktlight.models.zoo import Zoo

    return str(Zoo().named(checkpoint.removeprefix(ZOO_PREFIX)).record["architecture"])


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
