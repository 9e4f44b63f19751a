"""Weights from the Hugging Face Hub, through timm."""

import timm
from huggingface_hub import HfApi, try_to_load_from_cache
from torch import nn

from ktlight.errors import UserError
from ktlight.models.checkpoint import WEIGHT_FILES
from ktlight.models.network import recorded_config
from ktlight.models.spec import HUB_PREFIX, ModelConfig

PATIENCE = 10  # seconds to wait for the Hub's first answer


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
            _reach(repository)
        network: nn.Module = timm.create_model(source, pretrained=True, **config.kwargs)
    except OSError as error:
        raise UserError(
            f"The weights of {config.name} could not be fetched from the Hugging Face Hub ({_first_line(error)}). "
            "Without a network, give its checkpoint=FILE, or train it here with task=pretrain."
        ) from error
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{source} could not be loaded as a model of timm ({_first_line(error)}).") from error
    return network


def _reach(repository: str) -> None:
    """Check once that the Hub responds, unless weights are cached: downloads would retry for half a minute."""
    name, _, revision = repository.partition("@")
    at_hand = (try_to_load_from_cache(name, file, revision=revision or None) for file in WEIGHT_FILES)
    if not any(isinstance(path, str) for path in at_hand):
        try:
            HfApi().model_info(name, revision=revision or None, timeout=PATIENCE)
        except Exception as error:  # its type depends on the HTTP library that the installed huggingface_hub uses
            raise ConnectionError(str(error)) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
