"""The models of a run as options, as typed for a single run."""

from collections.abc import Sequence

from omegaconf import DictConfig

from ktlight.config.literal import literal
from ktlight.config.models import OPTIONS, model_config, model_entry
from ktlight.models.spec import ZOO_PREFIX, ModelConfig


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


def teacher_options(config: DictConfig, teachers: Sequence[ModelConfig], together: bool) -> list[str]:
    """Return the options that make a model the teacher, or all of them teach together, as typed for a single run."""
    if not together:
        return model_options(config, "teacher", teachers[0])
    entries = [model_entry(model, model_config(config.teacher)) for model in teachers]
    return [f"teachers={literal([entry['name'] if len(entry) == 1 else entry for entry in entries])}"]


def _architecture_in_zoo(checkpoint: str) -> str:
    from ktlight.models.zoo import Zoo

    return str(Zoo().named(checkpoint.removeprefix(ZOO_PREFIX)).record["architecture"])
