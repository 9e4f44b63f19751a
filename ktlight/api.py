"""Transfer from Python: any network that maps images to logits, any data set of images and labels."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import safetensors.torch
from omegaconf import DictConfig
from torch import nn

from ktlight.config.arguments import Labels, config_of_call, labels_of_call, name_networks
from ktlight.config.model_source import MODEL_GROUPS
from ktlight.config.models import listed_model, model_config, teacher_roles
from ktlight.data.arrays import MapDataset, from_torch
from ktlight.data.dataset import ImageDataset
from ktlight.errors import Preempted, UserError
from ktlight.models.classifier import Classifier
from ktlight.models.libraries.library import library_of_network
from ktlight.models.names import file_name
from ktlight.models.spec import ModelConfig
from ktlight.preemption import forget, leaving_when_asked
from ktlight.report.folder import RunFolder
from ktlight.report.numbered import numbered_folder
from ktlight.report.outcome import Transfer
from ktlight.report.table import short
from ktlight.stages.given import given_classifier
from ktlight.stages.trained import MissingWeights, trained_classifier
from ktlight.tasks.transfer import transfer as run_transfer
from ktlight.training.assemble import as_asked
from ktlight.training.failing import errors_to_mend
from ktlight.training.isolation import isolated
from ktlight.training.record import Run, opened
from ktlight.training.trainer import world_size

FOLDERS = Path("runs/python")

logger = logging.getLogger(__name__)

Model = nn.Module | str


def transfer(
    student: Model,
    teacher: Model | Sequence[Model],
    train_data: MapDataset,
    val_data: MapDataset,
    *,
    method: str = "kl_dp",
    lr: float | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    class_names: Sequence[str] | None = None,
    labels: Labels | Mapping[str, Labels] | None = None,
    identity: str | None = None,
    overrides: Sequence[str] = (),
) -> Transfer:
    """Let ``student`` learn what ``teacher`` knows; what ``python run.py`` does, on objects.

    Nothing that was given is changed, and the process is left as it was found (random states, flags, loggers). What the
    run says goes to the logger ``ktlight``.

    Args:
        student: A network that maps a batch of the data's images to logits ``[B, C]``; or the name of a timm model,
            whose weights are looked for as on the command line (add ``student.checkpoint=`` to ``overrides``) and which
            takes uint8 images.
        teacher: Likewise; several as a list, with ``schedule=`` in ``overrides``.
        train_data: Map-style data set of ``(image, label)``: the image ``uint8 [3, h, w]``, augmented and resized as
            the config ``data`` says, or ``float``, given to the networks as it is.
        val_data: What the figures are measured on, likewise.
        method: A name of the config group ``method``.
        lr: Learning rate; by default that of the recipe.
        epochs: Length of the training; by default as many as the recipe says.
        seed: Of everything random; 0 by default.
        folder: Folder of the run; what an earlier run left there is set aside. By default each call has one of its own,
            ``runs/python/<method>-<teacher>-to-<student>-<number>``.
        resume: Continue the interrupted call of ``folder``, by default the last one of that name; of a finished call,
            return what it came to.
        class_names: Names of the classes; their numbers if not given.
        labels: Where a model answers in other classes than the data's: for each of its own classes the data's, -1 for
            none; ``"learned"``, what they mean is counted on training images; or, of a model given by name, any value
            of the option ``labels``. For all models, or by role: ``{"teacher": "learned"}``. See docs/labels.md.
        identity: What tells these data from others, such as a name and a version, where their transforms are random.
        overrides: Further options as on the command line, such as ``["optim=sgd", "data.holdout=0.1"]``.

    Returns:
        The student after the transfer, the figures, and the folder; ``print`` it.

    Raises:
        UserError: The parts do not fit each other; the message says what to do.
        Preempted: The process was asked to leave (SIGTERM, SIGUSR1, SIGUSR2), in its main thread: the run left at the
            end of a step. The program's own handlers of these signals have been called by then.

    Example:
        >>> outcome = ktlight.transfer(my_net, "resnet50", train, val, method="kl_dp", epochs=20)  # doctest: +SKIP
        >>> print(outcome)  # doctest: +SKIP
        >>> better = outcome.student.network  # doctest: +SKIP
    """
    teachers = [teacher] if isinstance(teacher, nn.Module | str) else list(teacher)
    if not teachers or any(each is other for number, each in enumerate(teachers) for other in teachers[:number]):
        raise UserError("give at least one teacher, and each of them once")
    models = {"student": student, **dict(zip(teacher_roles(len(teachers)), teachers, strict=True))}
    names = {role: model if isinstance(model, str) else None for role, model in models.items()}
    own_labels, label_options = labels_of_call(names, labels)
    arguments = {"method": method, "lr": lr, "epochs": epochs, "seed": seed, "resume": resume or None}
    forget()
    with isolated(), leaving_when_asked(), errors_to_mend():
        _speak()
        config = _config(models, arguments, [*label_options, *overrides])
        classes = tuple(class_names) if class_names else None
        dataset = as_asked(config, from_torch(train_data, val_data, class_names=classes, identity=identity))
        own = {
            role: given_classifier(role, model, dataset, own_labels.get(role, "same"))
            for role, model in models.items()
            if isinstance(model, nn.Module)
        }
        with _folder(config, folder) as path, opened(config, path, "folder=") as run, _interruptible(run.folder):
            return _transfer(config, dataset, models, own, run)


def _transfer(
    config: DictConfig, dataset: ImageDataset, models: Mapping[str, Model], own: Mapping[str, Classifier], run: Run
) -> Transfer:
    classifiers = {
        role: own[role] if isinstance(model, nn.Module) else _named(role, model, config, dataset, run)
        for role, model in models.items()
    }
    student, *teachers = classifiers.values()
    finished = run.folder.results if config.resume else None
    if finished:
        run.folder.check_config(run.described(dataset, classifiers))
        weights = run.folder.path / "student" / "model.safetensors"
        if weights.exists():  # else nothing was trained
            _load_exported(student, weights)
        logger.info("%s holds the finished run: it is not run again", short(run.folder.path))
    else:
        epochs = config.trainer.max_epochs
        length = f", {epochs} epoch{'s' * (epochs != 1)}" if epochs else ""
        logger.info(
            "%s: %s -> %s%s; %d training and %d held-out samples; folder %s",
            config.method.name, "+".join(teacher.name for teacher in teachers), student.name, length,
            len(dataset.train or ()), len(dataset.val), short(run.folder.path),
        )  # fmt: skip
    return Transfer(student, finished or run_transfer(config, dataset, student, teachers, run), run.folder)


def _load_exported(student: Classifier, weights: Path) -> None:
    """Give a student the weights that a finished run exported."""
    library = library_of_network(student.network)
    if library and library.prefix:  # whose files have names of their own
        spec = ModelConfig(student.name, student.architecture, checkpoint=str(weights.parent))
        state = library.load(spec, spec.checkpoint).state_dict()
    else:
        state = safetensors.torch.load_file(weights)
    student.network.load_state_dict(state)


def _speak() -> None:
    """Let users who have set up no logging read what a run says, as on the command line."""
    ours = logging.getLogger("ktlight")
    if ours.level == logging.NOTSET:
        ours.setLevel(logging.INFO)
    if not ours.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        ours.addHandler(handler)


def _config(models: Mapping[str, Model], arguments: Mapping[str, Any], overrides: Sequence[str]) -> DictConfig:
    student, *teachers = (model if isinstance(model, str) else None for model in models.values())
    config = config_of_call(student, teachers, arguments, overrides)
    called = [model if isinstance(model, str) else type(model).__name__ for model in models.values()]
    name_networks(config, called[0], called[1:])
    return config


def _folder(config: DictConfig, folder: str | Path | None) -> AbstractContextManager[Path]:
    if folder is not None:
        return nullcontext(Path(folder))
    if world_size(config.trainer) > 1:
        raise UserError("a run of several processes needs folder=..., since each of them would choose one for itself")
    label = f"{config.method.name}-{file_name(config.teacher.name)}-to-{file_name(config.student.name)}"
    return numbered_folder(FOLDERS, label, "folder=", resume=config.resume)


@contextmanager
def _interruptible(folder: RunFolder) -> Iterator[None]:
    """Say what is left of a run that was interrupted; Lightning would end the process."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, Preempted) as stop:
        kept = f"{folder.kept()} kept; to continue, give folder={str(folder.path)!r}, resume=True"
        kind = Preempted if isinstance(stop, Preempted) else KeyboardInterrupt
        raise kind(kept if folder.checkpoints else "before the first checkpoint: nothing is kept") from stop


def _named(role: str, model: str, config: DictConfig, dataset: ImageDataset, run: Run) -> Classifier:
    spec = model_config(config[role]) if role in MODEL_GROUPS else listed_model(config, "teachers", model)
    try:
        return trained_classifier(config, role, spec, dataset, run)
    except MissingWeights as error:
        images = len(dataset.train or ())
        how = f"overrides=['{role}.checkpoint=FILE'], " if role in MODEL_GROUPS else ""
        raise UserError(
            f"there are no trained weights of {model} for these data, and {images} training images are too many to "
            f"train it unasked: give {how}a network (nn.Module) that you have trained, or let it be trained with "
            f"overrides=['data.pretrain.max_images={images}']"
        ) from error
