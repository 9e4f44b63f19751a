"""Image classifiers of Hugging Face transformers: ``hf:organisation/name`` on the Hub, or ``hf:FOLDER``.

Weights are read from safetensors only, and code that comes with a model is never run.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ktlight.errors import UserError, nearest
from ktlight.models.provenance import Provenance
from ktlight.models.spec import ModelConfig

PREFIX = "hf:"
HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?")
CONFIG, WEIGHTS = "config.json", ("model.safetensors", "model.safetensors.index.json")
FILES = (CONFIG, "preprocessor_config.json", "processor_config.json", *WEIGHTS, "model-*-of-*.safetensors")
NOT_OF_THE_ARCHITECTURE = {
    "_name_or_path", "transformers_version", "dtype", "torch_dtype", "id2label", "label2id", "num_labels",
    "architectures",
}  # fmt: skip
"""What a config says besides what a network of random weights is."""
OTHER_INPUT = {
    "imagegpt": "takes clusters of colours",
    "siglip2": "takes patches of images of any shape",
    "shieldgemma2": "takes text too",
    "timm_wrapper": "is a model of timm: name it as one, without hf:, or give checkpoint=hf-hub:ID",
}
"""Kinds of models that answer about images, but not as the others do; and why."""

USAGE = """\
from transformers import AutoImageProcessor, AutoModelForImageClassification

model = AutoModelForImageClassification.from_pretrained("{folder}").eval()
processor = AutoImageProcessor.from_pretrained("{folder}")


def transform(image):
    return processor(image, return_tensors="pt")["pixel_values"][0]  # model(batch).logits are its answer
"""


class TransformersModels:
    """The image classifiers of transformers; see `ktlight.models.libraries.library.ModelLibrary`."""

    title, package, prefix = "transformers", "transformers", PREFIX

    def names(self) -> Sequence[str]:
        """Return nothing: only the Hub could list them."""
        return []

    def knows(self, name: str) -> bool:
        """Return whether a name is a folder or may be one on the Hub."""
        return _folder(name) is not None or bool(HUB_ID.fullmatch(name.removeprefix(PREFIX)))

    def resolve(self, name: str) -> str:
        """Return the name itself."""
        if find_spec("transformers") is None:
            raise UserError(f"{name} needs the library transformers: pip install 'ktlight[transformers]'")
        if not self.knows(name):
            raise UserError(f"{name}: there is no such folder, nor can it be an ID of the Hub (organisation/name)")
        return name

    def untagged(self, architecture: str) -> str:
        """Return the name itself: there are no tags."""
        return architecture

    def identity(self, architecture: str) -> Mapping[str, str]:
        """Return the name on the Hub; of a folder its own name, and a digest of what its config defines."""
        folder = _folder(architecture)
        if folder is None:
            return {"architecture": architecture}
        said = {name: value for name, value in _read(folder).items() if name not in NOT_OF_THE_ARCHITECTURE}
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
        return {"architecture": PREFIX + folder.resolve().name, "definition": digest}

    def weights(self, architecture: str) -> Provenance | None:
        """Return the weights on the Hub, or in the folder if there are any."""
        folder = _folder(architecture)
        if folder is None:
            return Provenance("hub", architecture.removeprefix(PREFIX))
        there = any((folder / file).is_file() for file in WEIGHTS)
        return Provenance("checkpoint", str(folder)) if there else None

    def training_size(self, architecture: str, native_size: int) -> int:
        """Return a size up to the one in the config; that one, if patches or windows do not divide smaller ones."""
        from ktlight.models.libraries.adapted import STEP, training_side

        defined = _defined(_local(architecture, architecture, weights=False), {})
        own, patch = _side(defined), getattr(defined, "patch_size", None)
        fixed = hasattr(defined, "window_size") or (isinstance(patch, int) and STEP % patch)
        return own if fixed else training_side(native_size, own, STEP)

    def create(self, config: ModelConfig, num_classes: int, img_size: int | None = None) -> Any:
        """Return a network with random weights, of the definition in a folder or on the Hub."""
        return _random(config, _local(config.architecture, config.name, weights=False), num_classes, img_size)

    def load(self, config: ModelConfig, checkpoint: str | None) -> Any:
        """Return a network with the weights of a folder, the Hub, or a bare file for the definition that is named."""
        from ktlight.models.checkpoint import find_checkpoint

        source = checkpoint or config.architecture
        if source.startswith(PREFIX):
            return _pretrained(config, _local(source, config.name))
        path = find_checkpoint(source)
        return _pretrained(config, path) if path.is_dir() else _with_file(config, path)

    def class_names(self, network: Any) -> Sequence[str] | None:
        """Return ``id2label`` of the config, unless it is ``LABEL_0`` and so on."""
        return network.pretrained_cfg.get("label_names")  # type: ignore[no-any-return]

    def export(self, network: Any, folder: Path, preprocessing: Mapping[str, Any], class_names: Sequence[str]) -> None:
        """Write the folder that ``from_pretrained`` of model and image processor reads."""
        from ktlight.models.libraries.image_processors import processor_for

        names = class_names or [f"LABEL_{number}" for number in range(network.num_classes)]
        network.model.config.id2label = dict(enumerate(names))
        network.model.config.label2id = {name: number for number, name in enumerate(names)}
        with _quiet():
            network.model.save_pretrained(folder)
            processor_for(network.processor, preprocessing).save_pretrained(folder)

    def usage(self, folder: str) -> str:
        """Return Python that loads an exported folder."""
        return USAGE.replace("{folder}", folder)

    def usage_line(self, folder: str) -> str:
        """Return the call that loads the network of an exported folder."""
        return f"AutoModelForImageClassification.from_pretrained('{folder}')"

    def usage_on_hub(self, repository: str) -> str | None:
        """Return the call that loads it from the Hub."""
        return f'AutoModelForImageClassification.from_pretrained("{repository}")'


def _folder(name: str) -> Path | None:
    """Return the folder that a name says, if it is one."""
    path = Path(name.removeprefix(PREFIX)).expanduser()
    return path if path.is_dir() else None


def _read(folder: Path) -> dict[str, Any]:
    """Return the config in a folder.

    Raises:
        UserError: There is none, or not one of transformers.
    """
    try:
        said: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{folder} has no config.json, so it is not a folder that transformers saved.") from error
    except ValueError as error:
        raise UserError(f"{folder / CONFIG} is not valid JSON ({error}); save the model again.") from error
    if "model_type" not in said:
        raise UserError(f"{folder / CONFIG} names no model_type, so it is not a model of transformers.")
    return said


def _local(name: str, called: str, *, weights: bool = True) -> Path:
    """Return the folder of a name; from the Hub, its files are fetched at most once.

    Args:
        name: The name, with its prefix.
        called: What the user calls it.
        weights: Whether they are needed.
    """
    folder = _folder(name)
    if folder is not None:
        return folder
    from ktlight.models.hub import snapshot

    return snapshot(
        name.removeprefix(PREFIX), called, FILES if weights else [CONFIG], WEIGHTS[:1] if weights else [CONFIG]
    )


def _defined(folder: Path, options: Mapping[str, Any]) -> Any:
    """Return the config of an image classifier.

    Raises:
        UserError: It is something else, or the options cannot be.
    """
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING as CLASSIFIERS

    said = _read(folder)
    try:
        with _quiet():
            defined = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)
    except Exception as error:  # each kind of config has its own
        raise UserError(f"{folder} cannot be read by transformers: {_first(error)}") from error
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


def _sized(defined: Any, num_classes: int | None, img_size: int | None) -> Any:
    """Return a config for a number of classes and an input size, changed in place; None leaves either as it is."""
    sees = getattr(defined, "vision_config", defined)
    if img_size and hasattr(sees, "image_size"):
        sees.image_size = img_size if isinstance(sees.image_size, int) else [img_size, img_size]
    if num_classes is not None:
        defined.num_labels = num_classes
    return defined


def _random(config: ModelConfig, folder: Path, num_classes: int | None = None, img_size: int | None = None) -> Any:
    """Return a network with random weights, of the definition in a folder."""
    from transformers import AutoModelForImageClassification

    defined = _defined(folder, config.kwargs)
    known = defined.to_dict()
    if unknown := [name for name in config.kwargs if name not in known]:
        hint = nearest(unknown[0], known)
        raise UserError(f"transformers cannot make {config.name}: its config has no {unknown[0]}.{hint}")
    try:
        defined = _sized(defined, num_classes, img_size)
        with _quiet():
            model = AutoModelForImageClassification.from_config(defined, trust_remote_code=False).float()
    except Exception as error:  # each kind of model has its own
        given = f"{num_classes} classes, {img_size} px, {config.kwargs}"
        raise UserError(
            f"transformers cannot make {config.name} with {given}: {_first(error)}. Change img_size= or kwargs=."
        ) from error
    return _adapted(config, model, None)


def _pretrained(config: ModelConfig, folder: Path) -> Any:
    """Return the network in a folder, all of whose weights must be there."""
    from ktlight.models.libraries.image_processors import read_processor

    defined = _defined(folder, config.kwargs)
    named = _folder(config.architecture)
    if named is not None and (wanted := _read(named)["model_type"]) != (found := defined.model_type):
        raise UserError(f"{folder} holds a {found}, not a {wanted} as {config.architecture}; name it instead.")
    if not any((folder / file).is_file() for file in WEIGHTS):
        raise UserError(f"{folder} holds no {WEIGHTS[0]}: save the model again with save_pretrained, as safetensors.")
    with _quiet():
        processor = read_processor(folder)
    return _adapted(config, _filled(folder, folder, defined), processor)


def _with_file(config: ModelConfig, file: Path) -> Any:
    """Return the network that a name defines, with the weights in a file, under the names that the library saves."""
    from safetensors.torch import save_file

    from ktlight.models.checkpoint import read_state_dict

    state = read_state_dict(file)
    definition = _local(config.architecture, config.name, weights=False)
    head = f"{_random(config, definition).heads[0]}.weight"
    defined = _sized(_defined(definition, config.kwargs), len(state[head]) if head in state else None, config.img_size)
    with TemporaryDirectory() as folder:
        whole = {name: value.contiguous() for name, value in state.items()}
        save_file(whole, Path(folder, WEIGHTS[0]), metadata={"format": "pt"})
        network = _adapted(config, _filled(Path(folder), file, defined), None)
    network.pretrained_cfg.pop("label_names", None)  # the file may be for others
    return network


def _filled(folder: Path, origin: Path, defined: Any) -> Any:
    """Return the model of a config with the weights in a folder, which are from somewhere.

    Raises:
        UserError: They cannot be read, or are not all there.
    """
    import torch
    from transformers import AutoModelForImageClassification

    try:
        with _quiet():
            model, loading = AutoModelForImageClassification.from_pretrained(
                folder, config=defined, local_files_only=True, trust_remote_code=False, use_safetensors=True,
                dtype=torch.float32, output_loading_info=True,
            )  # fmt: skip
    except Exception as error:  # of the library, of safetensors, or of the kind of model
        raise UserError(f"{origin} does not hold the weights of its config: {_first(error)}. Save it again.") from error
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()  # mapped from a file, they are placed so that CPUs round differently
    absent = sorted({*loading["missing_keys"], *(str(each[0]) for each in loading["mismatched_keys"])})
    if absent:
        raise UserError(
            f"{origin} does not hold the weights of {type(model).__name__}: missing: {', '.join(absent[:3])}"
            f"{' and more' * (len(absent) > 3)}. Is it a model without a classifier, or another one?"
        )
    return model


def _adapted(config: ModelConfig, model: Any, processor: Any) -> Any:
    """Return a model behind timm's interface, with the preprocessing of its processor, if it has one."""
    from ktlight.models.libraries.adapted import AdaptedTransformer, check_crop_mode, outputs
    from ktlight.models.libraries.image_processors import settings

    check_crop_mode(config, "transformers")
    classes, trunk = model.num_labels, f"{model.base_model_prefix}."
    heads = [name for name, layer in model.named_modules() if outputs(layer) == classes]
    heads = [name for name in heads if not name.startswith(trunk)] or heads[-1:]
    if not heads:
        raise UserError(f"{config.name} ({type(model).__name__}) has no linear layer that gives its {classes} logits")
    prepared, flipped = settings(processor, _side(model.config), config.name)
    if flipped and config.preprocessing:
        raise UserError(
            f"{config.name} takes blue, green and red, as its own image processor alone gives them: leave out "
            f"{', '.join(f'{option}=' for option in config.preprocessing)}"
        )
    labels = [str((model.config.id2label or {}).get(number, "LABEL_")) for number in range(classes)]
    named = {} if any(label.startswith("LABEL_") for label in labels) else {"label_names": labels}
    own = TransformersModels().identity(config.architecture)["architecture"]
    said = {name: value for name, value in model.config.to_dict().items() if name not in NOT_OF_THE_ARCHITECTURE}
    record = {"architecture": own, "fixed_input_size": False, "config": said, **prepared, **named}
    return AdaptedTransformer(model, heads, record, processor, flipped=flipped)


def _side(defined: Any) -> int:
    """Return the input size that a config says; 224 pixels if it says none."""
    size = getattr(getattr(defined, "vision_config", defined), "image_size", None) or 224
    return int(size if isinstance(size, int) else max(size))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the library says of every model it loads to errors, which are told of in our words."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def _first(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
