"""Exporting a classifier to a folder that can be loaded without ktlight."""

import copy
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from ktlight.errors import NotWritten
from ktlight.models.card import model_card
from ktlight.models.classifier import Classifier
from ktlight.models.libraries.library import ModelLibrary, library_of_network
from ktlight.models.preprocess import Preprocess


def export_classifier(
    classifier: Classifier, folder: Path, *, record: Mapping[str, Any], class_names: Sequence[str] = ()
) -> None:
    """Write the weights, their training record and a model card to ``folder``, replacing its contents.

    The network of a library is saved as that library reads it, with its constructor arguments, preprocessing and class
    names; of a user's own network, only the state dict is saved.

    Args:
        classifier: The classifier, on any device.
        folder: The destination, written atomically.
        record: How the classifier was trained, for ``training_record.json``; must be JSON-serialisable.
        class_names: Names of the classes in the order of the logits.

    Raises:
        NotWritten: If the folder cannot be written, for example because the disk is full.
    """
    library = library_of_network(classifier.network)
    with whole_folder(folder) as temporary:
        if library:
            _write_network(classifier, library, temporary, class_names)
        else:
            _write_weights(classifier.network, temporary)
        (temporary / "training_record.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        (temporary / "README.md").write_text(model_card(classifier, record, library), encoding="utf-8")
        for file in temporary.iterdir():  # safetensors ignores the umask and makes files private
            file.chmod((temporary / "README.md").stat().st_mode)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder next to ``folder`` that replaces it at the end; on failure nothing is left behind.

    Raises:
        NotWritten: If it cannot be written.
    """
    temporary = folder.with_name(f".{folder.name}-{uuid.uuid4().hex[:8]}")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        _replace(temporary, folder)
    except (OSError, SafetensorError) as error:
        raise NotWritten(
            f"{folder} could not be written ({error}); free some space there or choose another folder "
            "(hydra.run.dir= for runs, the environment variable KTLIGHT_CACHE for the zoo)."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace(new: Path, folder: Path) -> None:
    # a folder cannot be renamed onto another that is not empty, so the old one steps aside first
    old = new.with_name(f"{new.name}-old")
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _write_network(classifier: Classifier, library: ModelLibrary, folder: Path, class_names: Sequence[str]) -> None:
    # safetensors takes neither channels-last weights nor those on a device
    network = copy.deepcopy(classifier.network).cpu().to(memory_format=torch.contiguous_format)
    preprocess = classifier.preprocess
    settings = preprocess.data_config() if isinstance(preprocess, Preprocess) else {}
    library.export(network, folder, settings, class_names)


def _write_weights(network: nn.Module, folder: Path) -> None:
    # clones: safetensors refuses weights that share memory, as tied layers do
    state = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in network.state_dict().items()
    }
    safetensors.torch.save_file(state, folder / "model.safetensors")
