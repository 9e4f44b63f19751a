"""BatchNorm statistics: those of averaged weights, and whether a network trains with its own."""

import copy
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from ktlight.answers.ask import all_logits
from ktlight.answers.stored import OutputStore
from ktlight.data.datamodule import ImageDataModule
from ktlight.data.ordered import OrderedView
from ktlight.functional.randomness import SAMPLE_STREAM, random_order
from ktlight.functional.statistics import mcnemar_p_value
from ktlight.models.classifier import BatchNorm, Classifier, batchnorm_layers
from ktlight.training.assemble import seed

logger = logging.getLogger(__name__)

STATISTICS_IMAGES = 2048
LEVEL = 0.05  # of the test that the images' statistics are worse


def settle_statistics(
    config: DictConfig, networks: Mapping[str, Classifier], data: ImageDataModule, outputs: OutputStore
) -> dict[str, Any]:
    """Settle which BatchNorm statistics the networks that learn compute with in training (``transfer.batchnorm``).

    ``batch``: those of its batches, as is usual. ``own``: those that a network came with. ``auto`` keeps its own if
    replacing them by the training images', and nothing else, makes it worse on these images by more than noise: a
    training with the batches' would first have to make that up. Batches of several GPUs are always asked for.

    Args:
        config: The composed config.
        networks: The networks that learn, by role, in the data's classes.
        data: Its training images decide.
        outputs: Where networks run.

    Returns:
        By role of each network with such layers, for the run's results: whether its own are ``kept`` and, if that was
        measured, its accuracy in percent with its ``own`` statistics and with the ``images``', and how many those were.
    """
    record = {}
    choice = "batch" if config.trainer.sync_batchnorm else config.transfer.batchnorm
    for role, network in networks.items():
        network.keeps_statistics = False
        if statistics_layers(network):
            measured = choice == "auto"
            record[role] = _compared(config, network, data, outputs) if measured else {"kept": choice == "own"}
            network.keeps_statistics = record[role]["kept"]
    return record


def _compared(config: DictConfig, network: Classifier, data: ImageDataModule, outputs: OutputStore) -> dict[str, Any]:
    seed(config)  # transforms of a user's own may be random
    view = statistics_images(data.training_view(0), config.seed)
    other = with_statistics_of(view, network, outputs)
    labels_N = torch.from_numpy(view.labels)
    own_N, others_N = (all_logits(each, view, outputs).argmax(1) == labels_N for each in (network, other))
    gained, lost = int((others_N & ~own_N).sum()), int((own_N & ~others_N).sum())
    kept = lost > gained and mcnemar_p_value(gained, lost) < LEVEL
    own, images = (100 * float(right_N.float().mean()) for right_N in (own_N, others_N))
    logger.info(
        "%s: right on %.1f%% of %d training images with its own BatchNorm statistics, on %.1f%% with theirs: it trains "
        "with %s", network.name, own, len(labels_N), images, "its own" if kept else "those of its batches",
    )  # fmt: skip
    return {"kept": kept, "own": own, "images": images, "num_images": len(labels_N)}


def statistics_images(view: OrderedView, seed: int) -> OrderedView:
    """Return up to 2,048 rows of a view in random order: many data sets lie class by class, and batches should not.

    Nor should one be a single image, which has no variance: batches are equal in size, so at 3 none is.
    """
    rows = random_order(view.rows, SAMPLE_STREAM, seed)[:STATISTICS_IMAGES]
    return replace(view, rows=rows, batch_size=max(3, view.batch_size))


def with_statistics_of(view: OrderedView, classifier: Classifier, outputs: OutputStore) -> Classifier:
    """Return a copy of a classifier with the BatchNorm statistics of images in place of its own."""
    device = outputs.device.root
    copied = copy.deepcopy(classifier).to(device).eval()
    images = (batch["image"].to(device) for batch in view.batches())
    take_statistics(copied, statistics_layers(copied), images)
    return copied


def statistics_layers(classifier: Classifier) -> list[BatchNorm]:
    """Return the BatchNorm layers whose statistics change in training: those that learn, unless they are kept."""
    layers = [] if classifier.keeps_statistics else batchnorm_layers(classifier)
    return [layer for layer in layers if any(p.requires_grad for p in layer.parameters()) or not layer.affine]


@torch.no_grad()
def take_statistics(classifier: Classifier, layers: Sequence[BatchNorm], images: Iterable[Tensor]) -> None:
    """Set the layers' statistics to averages over batches of images; all other parts stay in evaluation mode."""
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # equal weight for every batch
        layer.training = True  # not what a layer of timm contains
    for image in images:
        classifier(image)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
        layer.training = False
