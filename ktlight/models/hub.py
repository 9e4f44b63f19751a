"""Weights from the Hugging Face Hub, through timm."""

import timm
from huggingface_hub import HfApi, try_to_load_from_cache
from torch import nn

from ktlight.errors import UserError
from ktlight.models.checkpoint import WEIGHT_FILES
from ktlight.models.download import PATIENCE, Unreachable, first_line
from ktlight.models.network import recorded_config
from ktlight.models.spec import HUB_PREFIX, ModelConfig

HUB = "the Hugging Face Hub"


def load_from_hub(config: ModelConfig, source: str) -> nn.Module:
    """Return a timm network with weights from the Hub, downloaded at most once.

    Args:
        config: Its name and constructor arguments.
        source: ``hf-hub:organisation/name``, or a timm name, whose weights are on the Hub too.

    Raises:
        UserError: If the Hub cannot be reached or has no such model.
    """
    is_named = source.startswith(HUB_PREFIX)
    repository = source.removeprefix(HUB_PREFIX) if is_named else recorded_config(source).hf_hub_id
    try:
        if repository:
            reach(repository)
        network: nn.Module = timm.create_model(source, pretrained=True, **config.kwargs)
    except OSError as error:
        raise Unreachable(config.name, HUB, error) from error
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{source} could not be loaded as a model of timm ({first_line(error)}).") from error
    return network


def reach(repository: str) -> None:
    """Check once that the Hub responds, unless weights are cached: downloads would retry for half a minute."""
    name, _, revision = repository.partition("@")
    at_hand = (try_to_load_from_cache(name, file, revision=revision or None) for file in WEIGHT_FILES)
    if not any(isinstance(path, str) for path in at_hand):
        try:
            HfApi().model_info(name, revision=revision or None, timeout=PATIENCE)
        except Exception as error:  # its type depends on the HTTP library that the installed huggingface_hub uses
            raise ConnectionError(str(error)) from error
