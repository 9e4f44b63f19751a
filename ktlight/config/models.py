"""The models that a config names, as plain data."""

from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ktlight.config.model_source import model_node
from ktlight.errors import UserError
from ktlight.models.spec import PREPROCESSING, ModelConfig

OPTIONS = ("checkpoint", *PREPROCESSING, "kwargs")
"""Options of a model besides its name."""


def model_config(group: DictConfig) -> ModelConfig:
    """Return the plain form of the config group ``student`` or ``teacher``."""
    config = OmegaConf.to_object(group)
    assert isinstance(config, ModelConfig)
    return config


def teacher_configs(config: DictConfig) -> dict[str, ModelConfig]:
    """Return the teachers by role: those of the list ``teachers``, else the one of ``teacher=``.

    Raises:
        UserError: If the list cannot be read, or the schedule needs one and there is none.
    """
    models = listed_teachers(config)
    if models:
        return dict(zip(teacher_roles(len(models)), models, strict=True))
    if config.schedule.name != "parallel":
        raise UserError(f"schedule={config.schedule.name} needs a list of teachers: 'teachers=[resnet50,vit_s]'")
    return {"teacher": model_config(config.teacher)}


def listed_teachers(config: DictConfig) -> list[ModelConfig]:
    """Return the models of the list ``teachers``.

    An entry is a name, or a mapping with a name and further options of a model; options left out are taken from
    ``teacher``, except for the checkpoint.

    Raises:
        UserError: If it is not a list, an entry cannot be read, or a teacher is given twice.
    """
    if not isinstance(config.teachers, ListConfig):
        raise UserError(
            f"teachers={'null' if config.teachers is None else config.teachers} is no list of models: "
            "write 'teachers=[resnet50,vit_s]', or teacher= for a single one"
        )
    models = [listed_teacher(config, entry) for entry in OmegaConf.to_container(config.teachers, resolve=True)]  # type: ignore[union-attr]
    known = [replace(model, name="") for model in models]  # an alias is the same model
    for number, model in enumerate(models):
        if known[number] in known[:number]:
            raise UserError(f"the teacher {model.name} is given twice in teachers=[...]: give each once")
    return models


def listed_teacher(config: DictConfig, entry: Any) -> ModelConfig:
    """Return the model of one entry of the list ``teachers``; see :func:`listed_teachers`."""
    options = {"name": entry} if isinstance(entry, str) else entry
    if not isinstance(options, dict) or not isinstance(options.get("name"), str):
        raise UserError(f"teachers: {entry!r} is neither a model name nor a mapping such as {{name: resnet50}}")
    if unknown := set(map(str, options)) - {"name", *OPTIONS}:
        raise UserError(f"teachers: a model has no option '{min(unknown)}': name, {', '.join(OPTIONS)}")
    shared = {option: config.teacher[option] for option in OPTIONS if option != "checkpoint"}
    try:
        return model_config(OmegaConf.merge(model_node(options["name"]), shared, options))  # type: ignore[arg-type]
    except OmegaConfBaseException as error:
        raise UserError(f"teachers: {options['name']}: {str(error).partition(chr(10))[0]}") from error


def teacher_roles(count: int) -> list[str]:
    """Return the teachers' roles in columns, curves and folders: ``teacher``, or ``teacher1``, ``teacher2``, ..."""
    return ["teacher"] if count == 1 else [f"teacher{number}" for number in range(1, count + 1)]
