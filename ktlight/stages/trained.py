"""The trained models of a run: of a checkpoint, the zoo or the Hub, or trained on the labels first."""

import logging
import time
from dataclasses import replace

from omegaconf import DictConfig

from ktlight.config.model_source import MODEL_GROUPS
from ktlight.data.dataset import ImageDataset
from ktlight.errors import UserError
from ktlight.models.build import build_classifier, entry_provenance, provenance_of
from ktlight.models.classifier import Classifier
from ktlight.models.facts import line
from ktlight.models.libraries.library import library_of
from ktlight.models.provenance import Provenance
from ktlight.models.recipe import Recipe
from ktlight.models.spec import ZOO_PREFIX, ModelConfig
from ktlight.models.zoo import Entry, Zoo
from ktlight.report.files import check_writable
from ktlight.stages.notices import warn_of_missing_classes
from ktlight.stages.pretraining import on_the_spot, pretrain, pretraining_recipe
from ktlight.training.processes import is_first_process
from ktlight.training.record import Run

logger = logging.getLogger(__name__)

PATIENCE = 0.5  # seconds between two looks for a model that another process of the run trains


class MissingWeights(UserError):  # noqa: N818  (what is missing, not what failed)
    """No trained weights of a model were found for the data; they are never replaced by random ones."""


def trained_classifier(
    config: DictConfig, role: str, model: ModelConfig, dataset: ImageDataset, run: Run
) -> Classifier:
    """Return the trained model of a role (``student``, ``teacher``), and say where its weights came from.

    Weights are never silently random. They come from the role's checkpoint; else from the local zoo, where the model
    was trained by the very recipe of this run; else from the Hub where its labels are the data's; else, for a training
    set of at most ``data.pretrain.max_images`` images, the model is trained on the spot and kept in the zoo.

    Raises:
        MissingWeights: There are none, and the data set is too large to train on it unasked.
        UserError: They cannot be read, or belong to another model or to classes without a map to the data's.
    """
    model, provenance = find_weights(config, role, model, dataset, run)
    try:
        classifier = build_classifier(
            model,
            provenance,
            class_names=dataset.class_names,
            wnids=dataset.wnids,
            data_identity=dataset.identity,
            learns=role == "student",
        )
    except UserError as error:
        if provenance.source != "zoo":
            raise
        remove = f"task=zoo zoo.action=remove zoo.name={provenance.location}"
        raise UserError(f"{error} It is a model of the zoo: to have it trained anew, python run.py {remove}") from error
    named = provenance.holdout and role in MODEL_GROUPS  # models of a list have no option of their own
    own = f"; to use your own weights: {role}.checkpoint=" if named else ""
    logger.info("%s%s", line(role, classifier), own)
    warn_of_missing_classes(role, classifier)
    return classifier


def find_weights(
    config: DictConfig, role: str, model: ModelConfig, dataset: ImageDataset, run: Run
) -> tuple[ModelConfig, Provenance]:
    """Return the model with its checkpoint, and what is known of the weights there, once they are there."""
    found = weights_at_hand(config, model, dataset)
    if found is not None:
        return found
    check_small_enough(config, model, dataset, Zoo())
    spot = on_the_spot(config)
    entry, now = train_once(spot, pretraining_recipe(spot, model, dataset), model, dataset, run, role)
    return replace(model, checkpoint=str(entry.folder)), entry_provenance(entry, trained_now=now)


def weights_at_hand(
    config: DictConfig, model: ModelConfig, dataset: ImageDataset
) -> tuple[ModelConfig, Provenance] | None:
    """Return the model with its checkpoint, and what is known of it; None if it would have to be trained first."""
    zoo = Zoo()
    if model.checkpoint:
        return locate(model, zoo, dataset.identity)
    own = library_of(model.architecture).weights(model.architecture)
    if own and own.source == "checkpoint":  # a folder that holds weights was named
        return model, own
    entry = zoo.find(pretraining_recipe(on_the_spot(config), model, dataset))
    if entry is not None:
        return replace(model, checkpoint=str(entry.folder)), entry_provenance(entry)
    return (model, own) if own and config.data.hub_labels else None


def locate(model: ModelConfig, zoo: Zoo, data_identity: str) -> tuple[ModelConfig, Provenance]:
    """Return the model with the path of its checkpoint, which may be a name in the zoo, and what is known of it."""
    assert model.checkpoint is not None
    if not model.checkpoint.startswith(ZOO_PREFIX):
        return model, provenance_of(model)
    entry = zoo.named(model.checkpoint.removeprefix(ZOO_PREFIX), data_identity)
    architecture = model.architecture or entry.record["architecture"]
    return replace(model, architecture=architecture, checkpoint=str(entry.folder)), entry_provenance(entry)


def check_small_enough(config: DictConfig, model: ModelConfig, dataset: ImageDataset, zoo: Zoo) -> None:
    """Raise `MissingWeights` unless the training set is one on which models are trained without being asked to."""
    options = config.data
    images = len(dataset.train.labels) * options.fraction * (1 - options.holdout) if dataset.train else 0
    if 0 < images <= options.pretrain.max_images:
        return
    others = zoo.of_architecture(model.architecture, dataset.identity)
    there = f" The zoo has {', '.join(map(str, others))}: give one as checkpoint=." if others else ""
    library = library_of(model.architecture)
    if library.prefix and library.weights(model.architecture):
        there += f" Those that {library.title} keeps, for classes of their own, are checkpoint={model.architecture}."
    raise MissingWeights(
        f"There are no trained weights of {model.name} for this data.{there} Give its checkpoint=FILE (safetensors, "
        f".pt, an exported folder, hf-hub:ID or zoo:NAME), or train it first with: task=pretrain student={model.name} "
        "and the same data options."
    )


def train_once(
    config: DictConfig, recipe: Recipe, model: ModelConfig, dataset: ImageDataset, run: Run, role: str
) -> tuple[Entry, bool]:
    """Train a model for the zoo, unless another process does; return it, and whether this process trained it.

    Of a distributed run the first process trains alone, before the others are needed.
    """
    zoo = Zoo()
    if not is_first_process():
        while (entry := zoo.find(recipe)) is None:
            time.sleep(PATIENCE)
        return entry, True
    check_writable(zoo.root, "the environment variable KTLIGHT_CACHE")
    with zoo.lock(recipe):
        if entry := zoo.find(recipe):
            return entry, False
        others = zoo.of_architecture(model.architecture, dataset.identity)
        there = f". The zoo also has {', '.join(map(str, others))}: give one as checkpoint=" if others else ""
        logger.info(
            "No weights of %s by this recipe yet: training it once (%s epochs) for the zoo in %s%s",
            model.name, config.trainer.max_epochs, zoo.root, there,
        )  # fmt: skip
        pretrain(config, recipe, model, dataset, run.part(f"pretrain-{role}", config), followed=False)
        entry = zoo.find(recipe)
    assert entry is not None
    return entry, True
