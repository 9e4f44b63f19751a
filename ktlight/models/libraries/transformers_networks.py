"""Networks of transformers: their definitions and weights, behind timm's interface."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForImageClassification
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING as CLASSIFIERS
from transformers.utils import logging

from ktlight.errors import UserError, nearest
from ktlight.models.checkpoint import read_state_dict
from ktlight.models.download import first_line
from ktlight.models.libraries.adapted import AdaptedTransformer, check_crop_mode, outputs
from ktlight.models.libraries.image_processors import read_processor, settings
from ktlight.models.libraries.transformers_files import (
    WEIGHTS,
    definition,
    folder_of,
    local_folder,
    of_the_architecture,
    read_config,
)
from ktlight.models.spec import ModelConfig

OTHER_INPUT = {
    "imagegpt": "takes clusters of colours",
    "siglip2": "takes patches of images of any shape",
    "shieldgemma2": "takes text too",
    "timm_wrapper": "is a model of timm: name it as one, without hf:, or give checkpoint=hf-hub:ID",
}
"""Kinds of models that answer about images, but not as the others do; and why."""


def defined_in(folder: Path, options: Mapping[str, Any]) -> Any:
    """Return the config of an image classifier.

    Raises:
        UserError: It is something else, or the options cannot be.
    """
    said = read_config(folder)
    try:
        with quiet():
            defined = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)
    except Exception as error:  # each kind of config has its own
        raise UserError(f"{folder} cannot be read by transformers: {first_line(error)}") from error
    if type(defined) not in CLASSIFIERS:
        was = ", ".join(said.get("architectures") or [type(defined).__name__])
        raise UserError(
            f"{folder} holds a model of the kind {defined.model_type} ({was}), which is no image classifier: give one "
            "that AutoModelForImageClassification loads"
        )
    defined.architectures = defined.architectures or []  # of which there may be several for one kind
    if why := OTHER_INPUT.get(defined.model_type):
        raise UserError(f"{folder} holds a model of the kind {defined.model_type}, which {why}")
    return defined


def sized(defined: Any, num_classes: int | None, img_size: int | None) -> Any:
    """Return a config for a number of classes and an input size, changed in place; None leaves either as it is."""
    sees = getattr(defined, "vision_config", defined)
    if img_size and hasattr(sees, "image_size"):
        sees.image_size = img_size if isinstance(sees.image_size, int) else [img_size, img_size]
    if num_classes is not None:
        defined.num_labels = num_classes
    return defined


def random_network(
    config: ModelConfig, folder: Path, num_classes: int | None = None, img_size: int | None = None
) -> Any:
    """Return a network with random weights, of the definition in a folder."""
    defined = defined_in(folder, config.kwargs)
    known = defined.to_dict()
    if unknown := [name for name in config.kwargs if name not in known]:
        hint = nearest(unknown[0], known)
        raise UserError(f"transformers cannot make {config.name}: its config has no {unknown[0]}.{hint}")
    try:
        defined = sized(defined, num_classes, img_size)
        with quiet():
            model = AutoModelForImageClassification.from_config(defined, trust_remote_code=False).float()
    except Exception as error:  # each kind of model has its own
        given = f"{num_classes} classes, {img_size} px, {config.kwargs}"
        raise UserError(
            f"transformers cannot make {config.name} with {given}: {first_line(error)}. Change img_size= or kwargs=."
        ) from error
    return adapted(config, model, None)


def pretrained(config: ModelConfig, folder: Path) -> Any:
    """Return the network in a folder, all of whose weights must be there."""
    defined = defined_in(folder, config.kwargs)
    named = folder_of(config.architecture)
    if named is not None and (wanted := read_config(named)["model_type"]) != (found := defined.model_type):
        raise UserError(f"{folder} holds a {found}, not a {wanted} as {config.architecture}; name it instead.")
    if not any((folder / file).is_file() for file in WEIGHTS):
        raise UserError(f"{folder} holds no {WEIGHTS[0]}: save the model again with save_pretrained, as safetensors.")
    with quiet():
        processor = read_processor(folder)
    return adapted(config, _filled(folder, folder, defined), processor)


def with_file(config: ModelConfig, file: Path) -> Any:
    """Return the network that a name defines, with the weights in a file, under the names that the library saves."""
    state = read_state_dict(file)
    defining = local_folder(config.architecture, config.name, weights=False)
    head = f"{random_network(config, defining).heads[0]}.weight"
    defined = sized(defined_in(defining, config.kwargs), len(state[head]) if head in state else None, config.img_size)
    with TemporaryDirectory() as folder:
        whole = {name: value.contiguous() for name, value in state.items()}
        save_file(whole, Path(folder, WEIGHTS[0]), metadata={"format": "pt"})
        network = adapted(config, _filled(Path(folder), file, defined), None)
    network.pretrained_cfg.pop("label_names", None)  # the file may be for others
    return network


def _filled(folder: Path, origin: Path, defined: Any) -> Any:
    """Return the model of a config with the weights in a folder, which are from somewhere.

    Raises:
        UserError: They cannot be read, or are not all there.
    """
    try:
        with quiet():
            model, loading = AutoModelForImageClassification.from_pretrained(
                folder, config=defined, local_files_only=True, trust_remote_code=False, use_safetensors=True,
                dtype=torch.float32, output_loading_info=True,
            )  # fmt: skip
    except Exception as error:  # of the library, of safetensors, or of the kind of model
        raise UserError(
            f"{origin} does not hold the weights of its config: {first_line(error)}. Save it again."
        ) from error
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()  # mapped from a file, they are placed so that CPUs round differently
    absent = sorted({*loading["missing_keys"], *(str(each[0]) for each in loading["mismatched_keys"])})
    if absent:
        raise UserError(
            f"{origin} does not hold the weights of {type(model).__name__}: missing: {', '.join(absent[:3])}"
            f"{' and more' * (len(absent) > 3)}. Is it a model without a classifier, or another one?"
        )
    return model


def adapted(config: ModelConfig, model: Any, processor: Any) -> Any:
    """Return a model behind timm's interface, with the preprocessing of its processor, if it has one."""
    check_crop_mode(config, "transformers")
    classes, trunk = model.num_labels, f"{model.base_model_prefix}."
    heads = [name for name, layer in model.named_modules() if outputs(layer) == classes]
    heads = [name for name in heads if not name.startswith(trunk)] or heads[-1:]
    if not heads:
        raise UserError(f"{config.name} ({type(model).__name__}) has no linear layer that gives its {classes} logits")
    prepared, flipped = settings(processor, own_side(model.config), config.name)
    if flipped and config.preprocessing:
        raise UserError(
            f"{config.name} takes blue, green and red, as its own image processor alone gives them: leave out "
            f"{', '.join(f'{option}=' for option in config.preprocessing)}"
        )
    labels = [str((model.config.id2label or {}).get(number, "LABEL_")) for number in range(classes)]
    named = {} if any(label.startswith("LABEL_") for label in labels) else {"label_names": labels}
    own = definition(config.architecture)["architecture"]
    said = of_the_architecture(model.config.to_dict())
    record = {"architecture": own, "fixed_input_size": False, "config": said, **prepared, **named}
    return AdaptedTransformer(model, heads, record, processor, flipped=flipped)


def own_side(defined: Any) -> int:
    """Return the input size that a config says; 224 pixels if it says none."""
    size = getattr(getattr(defined, "vision_config", defined), "image_size", None) or 224
    return int(size if isinstance(size, int) else max(size))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what the library says of every model it loads to errors, which are told of in our words."""
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
