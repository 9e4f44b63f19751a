"""What a sweep over pairs varies: the lists ``students`` and ``teachers`` or ``pairs``, ``methods`` and ``seeds``."""

import json
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from ktlight.config.identity import VOLATILE, digest, lasting_part
from ktlight.config.models import listed_models, models_of
from ktlight.errors import UserError
from ktlight.limits import SEED, check_value
from ktlight.models.spec import ModelConfig

LISTS = ("students", "teachers", "pairs", "methods", "seeds")
RECOMMENDED = "recommend:"
"""What stands before the folder of a recommendation, in place of a list of teachers."""
SINGLE = {"student": "students", "teacher": "teachers", "method": "methods", "seed": "seeds"}
"""What a job has one of, and the list that it is from."""


def is_of_pairs(config: DictConfig) -> bool:
    """Return whether a config is that of a sweep over pairs."""
    return "students" in config


def check_lists(config: DictConfig) -> None:
    """Check what can be said of the lists without looking at methods and folders.

    Raises:
        UserError: A list is none, is empty, or has an entry that cannot be read.
    """
    if config.task.name != "transfer":
        raise UserError(f"experiment=sweep/pairs is a sweep of transfers, so task={config.task.name} has no meaning")
    for role, option in (("student", "students"), ("teacher", "teachers")):
        if config[role].checkpoint is not None:
            raise UserError(
                f"{role}.checkpoint says nothing of the models in {option}=[...]: give each its own there, "
                "{name: ..., checkpoint: ...}"
            )
    if config.pairs:
        paired_models(config)
    elif recommended(config) is None:
        swept_models(config, "student")
        swept_models(config, "teacher")
    elif config.students:
        raise UserError("teachers=recommend:FOLDER comes with its student: leave students=[...] out")
    swept_seeds(config)


def recommended(config: DictConfig) -> str | None:
    """Return the folder, or pattern of folders, of the recommendations that name the pairs; None if lists do."""
    teachers = config.teachers
    return teachers.removeprefix(RECOMMENDED) if isinstance(teachers, str) and RECOMMENDED in teachers else None


def swept_models(config: DictConfig, role: str) -> list[ModelConfig]:
    """Return the models of ``students`` or ``teachers``."""
    option = f"{role}s"
    models = listed_models(config, option, f"{option}=recommend:FOLDER" if role == "teacher" else "", role)
    if not models:
        raise UserError(f"a sweep over pairs needs {option}: '{option}=[resnet50,vit_s]'")
    return models


def paired_models(config: DictConfig) -> list[tuple[list[ModelConfig], list[ModelConfig]]]:
    """Return the students and the teachers of each entry of ``pairs``.

    Raises:
        UserError: An entry cannot be read, or lists of students or teachers are given too.
    """
    entries: Any = OmegaConf.to_container(config.pairs, resolve=True) if OmegaConf.is_config(config.pairs) else None
    if config.students or config.teachers:
        raise UserError("give pairs=[...] or students=[...] and teachers=[...], not both")
    found = []
    for entry in entries if isinstance(entries, list) else [entries]:
        if not isinstance(entry, dict) or set(entry) != {"student", "teachers"}:
            raise UserError(f"pairs: {entry} is not of the form {{student: vit_s, teachers: [resnet50]}}")
        if not isinstance(entry["teachers"], list) or not entry["teachers"]:
            raise UserError(f"pairs: the teachers of {entry['student']} must be a list, such as [resnet50,vit_s]")
        students = models_of(config, [entry["student"]], "pairs", "student")
        found.append((students, models_of(config, entry["teachers"], "pairs", "teacher")))
    return found


def swept_seeds(config: DictConfig) -> list[int]:
    """Return the seeds."""
    seeds = config.seeds
    if not isinstance(seeds, ListConfig) or not len(seeds):
        raise UserError("seeds must be a list of whole numbers: 'seeds=[0,1,2]'")
    for seed in seeds:
        check_value("seeds", seed, SEED)
    if len(set(seeds)) < len(seeds):
        raise UserError("a seed is given twice in seeds=[...]: give each once")
    return list(seeds)


def pairs_id(*, _root_: DictConfig) -> str:
    """Return the digest of a sweep over pairs (``${pairs_id:}``): of its lists in any order, and of all else."""
    shared = [lasting_part(_root_, key) for key in map(str, _root_) if key not in (*VOLATILE, *LISTS, "task")]
    return digest([shared, *(_sorted(_root_[name]) for name in LISTS)])


def _sorted(entries: Any) -> Any:
    if not isinstance(entries, ListConfig):
        return entries
    plain: Any = OmegaConf.to_container(entries, resolve=True)
    return sorted(json.dumps(entry, sort_keys=True) for entry in plain)
