"""What a sweep would take, before anything is run: models to train, room in the store, hours (dry_run=true)."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from omegaconf import DictConfig

from ktlight.answers.keys import keys_of
from ktlight.answers.stored import OutputStore
from ktlight.config.identity import digest, resolved
from ktlight.config.instantiate import located
from ktlight.config.models import kind_of
from ktlight.data.datamodule import ImageDataModule
from ktlight.data.dataset import ImageDataset
from ktlight.errors import UserError
from ktlight.models.build import build_classifier, new_classifier
from ktlight.models.classifier import Classifier
from ktlight.models.provenance import Provenance
from ktlight.models.spec import ModelConfig
from ktlight.models.zoo import Zoo
from ktlight.recommendation.cost import TRAINING, seconds_per_image
from ktlight.stages.pretraining import on_the_spot, pretraining_recipe
from ktlight.stages.trained import check_small_enough, weights_at_hand
from ktlight.store.form import Full
from ktlight.sweeps.asked import asked_about_views, epochs_by_role
from ktlight.training.assemble import data_module, load_dataset
from ktlight.training.length import planned_epochs

OF_WEIGHTS = ("data", "pretrain", "trainer")
"""Groups of the config that a model's weights depend on."""
TIMED = 32
"""Images of the batch whose forward pass is timed."""


class Task(NamedTuple):
    """A transfer that is left to do.

    Attributes:
        config: Its config, or that of another one that differs in models only.
        models: Its models by role.
    """

    config: DictConfig
    models: Mapping[str, ModelConfig]


class Forecast(NamedTuple):
    """What a sweep would take.

    Attributes:
        models: How many models it needs.
        to_train: Those that are to be trained first.
        without: Those without weights, which nobody would train unasked, with the reason.
        entries: How many entries it needs in the store.
        missing: How many of them are not there; those of the Hub's weights are not looked for.
        bytes: Their size.
        seconds: Of computing on this machine, one job after the other, by the forward passes and their speed.
        device: Which it was measured on.
    """

    models: int
    to_train: list[str]
    without: list[str]
    entries: int
    missing: int
    bytes: int
    seconds: float
    device: str


class Known(NamedTuple):
    """A model on the data of some runs.

    Attributes:
        network: With its weights where they are on this machine, otherwise with random ones.
        source: Where its weights are from; None if it is to be trained.
        seconds: Of a forward pass of one image.
    """

    network: Classifier
    source: Provenance | None
    seconds: float


class Setting(NamedTuple):
    """What transfers by the same config share.

    Attributes:
        config: The config.
        dataset: The images.
        data: The training on them.
        outputs: The store, and where models run.
        asked: The roles whose outputs on training views are stored.
        weights: What a model's weights depend on besides the model: the same for most settings of a sweep.
    """

    config: DictConfig
    dataset: ImageDataset
    data: ImageDataModule
    outputs: OutputStore
    asked: frozenset[str]
    weights: str


class Forecaster:
    """Adds up what transfers take: what one of them leaves for the others counts once."""

    def __init__(self) -> None:
        self.datasets: dict[str, ImageDataset] = {}
        self.settings: dict[int, Setting] = {}
        self.known: dict[str, Known] = {}
        self.names: dict[tuple[str, str, bool], str] = {}
        self.speed: dict[str, float] = {}
        self.counted: set[tuple[int, str, int]] = set()
        self.stored: dict[str, int] = {}
        self.there: set[str] = set()
        self.without: dict[str, str] = {}
        self.seconds = 0.0
        self.device = ""

    def add(self, task: Task) -> None:
        """Count one transfer."""
        config, setting = task.config, self._setting(task.config)
        known = {role: self._model(setting, model, role == "student") for role, model in task.models.items()}
        target = config.method._target_
        learns = list(known) if target and located(target, "method").has_peers else ["student"]
        networks = [self.known[known[role]].network for role in learns]
        planned = planned_epochs(config, setting.data, networks) if config.method._target_ else 0
        epochs = epochs_by_role(config, planned, list(task.models))
        for role, name in known.items():
            images = setting.data.num_eval if role in learns else 0
            stored = kind_of(role) in setting.asked
            if role in learns:
                images += setting.data.num_train * epochs[role] * TRAINING
            elif not stored:
                images += setting.data.num_train * epochs[role]
            self.seconds += self.known[name].seconds * images
            self._store(setting, name, epochs[role] if stored else 0)

    def result(self) -> Forecast:
        """Return the sums."""
        to_train = [model.network.name for model in self.known.values() if not model.source]
        return Forecast(
            models=len(self.known),
            to_train=[name for name in to_train if name not in self.without],
            without=list(self.without.values()),
            entries=len(self.stored),
            missing=len(self.stored.keys() - self.there),
            bytes=sum(size for key, size in self.stored.items() if key not in self.there),
            seconds=self.seconds,
            device=self.device,
        )

    def _setting(self, config: DictConfig) -> Setting:
        if id(config) not in self.settings:
            options = str([config.data[key] for key in ("load", "skip_corrupt", "class_names")])
            if options not in self.datasets:
                self.datasets[options] = load_dataset(config)
            dataset, outputs = self.datasets[options], OutputStore(config)
            self.device = outputs.device.name
            data = data_module(config, dataset)
            weights = digest([resolved(config, group) for group in OF_WEIGHTS])
            self.settings[id(config)] = Setting(config, dataset, data, outputs, asked_about_views(config), weights)
        return self.settings[id(config)]

    def _model(self, setting: Setting, model: ModelConfig, learns: bool) -> str:
        """Return by which name a model is known, once it is."""
        asked = setting.weights, repr(model), learns
        if asked not in self.names:
            dataset = setting.dataset
            found = weights_at_hand(setting.config, model, dataset)
            recipe = pretraining_recipe(on_the_spot(setting.config), model, dataset)
            name = repr(found[0]) if found else recipe.name
            at_hand = self.known.get(name)
            if at_hand is None or (learns and at_hand.network.label_map is not None):
                at_hand = self._look(setting, model, found, learns)
                if at_hand.network.sliced:
                    name = f"{name} as a student"  # so its outputs are others
                self.known.setdefault(name, at_hand)
            self.names[asked] = name
        return self.names[asked]

    def _look(
        self, setting: Setting, model: ModelConfig, found: tuple[ModelConfig, Provenance] | None, learns: bool
    ) -> Known:
        dataset = setting.dataset
        if found and not found[1].is_remote:
            network = build_classifier(
                *found,
                class_names=dataset.class_names,
                wnids=dataset.wnids,
                data_identity=dataset.identity,
                learns=learns,
            )
        else:
            network = new_classifier(model, num_classes=dataset.num_classes, native_size=dataset.native_size)
        known = Known(network.frozen_copy(), found and found[1], self._speed(setting, model, network))
        if not found:
            self._train(setting, model, known)
        return known

    def _speed(self, setting: Setting, model: ModelConfig, network: Classifier) -> float:
        key = repr((replace(model, name="", checkpoint=None), setting.dataset.identity, setting.outputs.device.name))
        if key not in self.speed:
            few = copy.deepcopy(setting.config)
            few.data.eval_batch_size = TIMED
            images = data_module(few, setting.dataset).test_images(network.framing)
            self.speed[key] = seconds_per_image(network.frozen_copy(), images, setting.outputs)
        return self.speed[key]

    def _train(self, setting: Setting, model: ModelConfig, known: Known) -> None:
        try:
            check_small_enough(setting.config, model, setting.dataset, Zoo())
        except UserError as error:
            self.without[known.network.name] = str(error)
            return
        self.seconds += known.seconds * setting.data.num_train * setting.config.pretrain.epochs * TRAINING

    def _store(self, setting: Setting, name: str, epochs: int) -> None:
        """Count the entries of a model's outputs on the test images, and on the training views of some epochs."""
        model, outputs = self.known[name], setting.outputs
        if (id(setting.config), name, epochs) in self.counted or outputs.mode == "off" or not model.network.storable:
            return
        self.counted.add((id(setting.config), name, epochs))
        wanted = [outputs.test_outputs(model.network, setting.data)]
        wanted += [outputs.training_outputs(model.network, setting.data, epochs)] * (epochs > 0)
        for each in wanted:
            one = each.form.pack(torch.zeros(1, model.network.own_classes), torch.zeros(1, dtype=torch.long))
            half = "16" in str(setting.config.trainer.precision) and each.form.name == Full.name
            for key, view in zip(keys_of(each, outputs.device.name), each.views, strict=True):
                if key.digest in self.stored:
                    continue
                self.stored[key.digest] = len(view.rows) * one.shape[1] * (2 if half else 4)
                if model.source and not model.source.is_remote and outputs.store.folder(key).exists():
                    self.there.add(key.digest)
                else:
                    self.seconds += model.seconds * len(view.rows)
