"""Weights from the Hugging Face Hub: of timm's models, and the files of others."""

from collections.abc import Sequence
from pathlib import Path

import timm
from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache
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


def snapshot(repository: str, model: str, files: Sequence[str], needed: Sequence[str]) -> Path:
    """Return a folder with some of the files of a repository of the Hub, fetched at most once.

    Args:
        repository: ``organisation/name``, with ``@revision`` if it is not the newest.
        model: What the user calls it.
        files: Names or patterns of the files.
        needed: Files of which one shows that all are there.

    Raises:
        Unreachable: The Hub cannot be reached, or has no such files.
    """
    name, _, revision = repository.partition("@")
    try:
        reach(repository, needed)
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=list(files)))
    except (OSError, ValueError) as error:
        raise Unreachable(model, HUB, error) from error


def reach(repository: str, needed: Sequence[str] = WEIGHT_FILES) -> None:
    """Check once that the Hub responds, unless weights are cached: downloads would retry for half a minute."""
    name, _, revision = repository.partition("@")
    at_hand = (try_to_load_from_cache(name, file, revision=revision or None) for file in needed)
    if not any(isinstance(path, str) for path in at_hand):
        try:
            HfApi().model_info(name, revision=revision or None, timeout=PATIENCE)
        except Exception as error:  # its type depends on the HTTP library that the installed huggingface_hub uses
            raise ConnectionError(str(error)) from error
