"""The models that a config names, as plain data."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hydra.core.override_parser.types import Glob
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ktlight.config.model_source import model_node
from ktlight.errors import UserError, nearest
from ktlight.models.libraries.library import is_known, listed_names, resolve
from ktlight.models.names import ALIASES
from ktlight.models.spec import PREPROCESSING, ZOO_PREFIX, ModelConfig

OPTIONS = ("checkpoint", *PREPROCESSING, "labels", "label_map", "kwargs")
"""Options of a model besides its name."""
TEXT_PATTERN = re.compile(r"glob\(([^()]+)\)")
"""A pattern in a config file, or in quotes on the command line."""


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
    """Return the models of the list ``teachers``; see :func:`listed_models`."""
    return listed_models(config, "teachers", "teacher= for a single one")


def listed_models(config: DictConfig, option: str, instead: str = "", role: str = "teacher") -> list[ModelConfig]:
    """Return the models of a list: ``teachers``, ``students`` or ``models``.

    An entry is a name; ``glob(PATTERN)``, all names that match and are not listed already; ``zoo:NAME``, a
    model of the local zoo; or a mapping with a name and further options of a model. Options left out are taken from
    ``teacher`` or another role, except for the checkpoint.

    Args:
        config: The composed config.
        option: Name of the list in it.
        instead: What else the user can give, to be named in messages.
        role: Whose options hold for all.

    Raises:
        UserError: If it is not a list, an entry cannot be read or matches nothing, or a model is given twice.
    """
    entries = config[option]
    if not isinstance(entries, ListConfig):
        raise UserError(
            f"{option}={'null' if entries is None else entries} is no list of models: "
            f"write '{option}=[resnet50,vit_s]'{', or ' * bool(instead)}{instead}"
        )
    found: Any = OmegaConf.to_container(entries, resolve=True)
    return models_of(config, found, option, role)


def models_of(config: DictConfig, found: Sequence[Any], option: str, role: str) -> list[ModelConfig]:
    """Return the models of a list's entries; see :func:`listed_models`."""
    named = {resolve(entry) for entry in found if isinstance(entry, str) and is_known(entry)}
    models = []
    for entry in found:
        names = [entry]
        if (pattern := pattern_of(entry)) is not None:
            names = [name for name in _matching(pattern, option) if name not in named]
            named |= set(names)
        models += [listed_model(config, option, name, role) for name in names]
    known = [replace(model, name="") for model in models]  # an alias is the same model
    for number, model in enumerate(models):
        if known[number] in known[:number]:
            raise UserError(f"the model {model.name} is given twice in {option}=[...]: give each once")
    return models


def listed_model(config: DictConfig, option: str, entry: Any, role: str = "teacher") -> ModelConfig:
    """Return the model of one entry of a list, of any kind but a pattern; see :func:`listed_models`."""
    options = {"name": entry} if isinstance(entry, str) else entry
    if not isinstance(options, dict) or not isinstance(options.get("name"), str):
        raise UserError(f"{option}: {entry!r} is neither a model name nor a mapping such as {{name: resnet50}}")
    if unknown := set(map(str, options)) - {"name", *OPTIONS}:
        raise UserError(f"{option}: a model has no option '{min(unknown)}': name, {', '.join(OPTIONS)}")
    name, node = options["name"], None
    if name.startswith(ZOO_PREFIX):
        own = {"name": name.removeprefix(ZOO_PREFIX), "checkpoint": name}
        node, options = OmegaConf.structured(ModelConfig(architecture="", **own)), {**options, **own}
    shared = {name: config[role][name] for name in OPTIONS if name != "checkpoint"}
    try:
        return model_config(OmegaConf.merge(node or model_node(name), shared, options))  # type: ignore[arg-type]
    except OmegaConfBaseException as error:
        raise UserError(f"{option}: {options['name']}: {str(error).partition(chr(10))[0]}") from error


def pattern_of(entry: Any) -> Glob | None:
    """Return the pattern of an entry such as ``glob(test_*)``, typed on the command line or as text; else None."""
    if isinstance(entry, Mapping) and set(entry) == {"include", "exclude"}:  # as Hydra keeps it in a list
        return Glob(list(entry["include"]), list(entry["exclude"]))
    if isinstance(entry, str) and (written := TEXT_PATTERN.fullmatch(entry.strip())):
        return Glob([written[1]])
    return None


def _matching(pattern: Glob, option: str) -> list[str]:
    names = [str(name) for name in pattern.filter(listed_names())]
    if not names:
        typed = ", ".join(pattern.include)
        stem = pattern.include[0].strip("*?") if pattern.include else ""
        raise UserError(f"{option}: glob({typed}) matches no model.{nearest(stem, [*ALIASES, *listed_names()])}")
    return names


def model_entry(model: ModelConfig, shared: ModelConfig) -> dict[str, Any]:
    """Return a model as an entry of a list; what it has in common with ``teacher`` need not be said."""
    own = {name: getattr(model, name) for name in OPTIONS if getattr(model, name) != getattr(shared, name)}
    return {"name": model.checkpoint if model.checkpoint and not model.architecture else model.name, **own}


def kind_of(role: str) -> str:
    """Return ``teacher`` for ``teacher1``, ``teacher2``, ..., and other roles as they are."""
    return "teacher" if role.startswith("teacher") else role


def teacher_roles(count: int) -> list[str]:
    """Return the teachers' roles in columns, curves and folders: ``teacher``, or ``teacher1``, ``teacher2``, ..."""
    return ["teacher"] if count == 1 else [f"teacher{number}" for number in range(1, count + 1)]
