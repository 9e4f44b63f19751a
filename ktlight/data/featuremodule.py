"""The data module of a head that learns alone: features in place of images, in the same rows and order."""

from collections.abc import Callable

from torch import Tensor

from ktlight.data.datamodule import ImageDataModule
from ktlight.data.dataset import ImageTable
from ktlight.data.features import FeatureReader
from ktlight.data.ordered import OrderedView
from ktlight.data.samplers import PLAIN_VIEW
from ktlight.functional.geometry import FEATURES, Framing
from ktlight.functional.randomness import IntArray


class FeatureDataModule(ImageDataModule):
    """The same data with features in training batches, and in plain images that are asked for in `FEATURES`.

    Training views and plain images in other framings are still images: those that the teachers answer.

    Args:
        images: The data.
        framing: How the network that gives the features wants plain images.
        features: Returns its features ``[rows, D]`` of an ordered view.
    """

    def __init__(
        self, images: ImageDataModule, framing: Framing | None, features: Callable[[OrderedView], Tensor]
    ) -> None:
        vars(self).update(vars(images))
        self.trunk_framing = framing
        self.features = features
        self._feature_readers: dict[str, FeatureReader] = {}

    def training_features(self, view: int) -> OrderedView:
        """Return the features of one view of all training rows, in order."""
        return self._ordered(self._training_reader(), self.train_rows, view, "features")

    def _training_reader(self) -> FeatureReader:
        return self._feature_reader("views", self._train_table, self.train_rows, self.training_view)

    def _plain(self, split: str, table: ImageTable, rows: IntArray, framing: Framing | None) -> OrderedView:
        plain = super()._plain
        if framing != FEATURES:
            return plain(split, table, rows, framing)
        reader = self._feature_reader(split, table, rows, lambda _: plain(split, table, rows, self.trunk_framing))
        return self._ordered(reader, rows, PLAIN_VIEW, "features")

    def _feature_reader(
        self, name: str, table: ImageTable, rows: IntArray, images: Callable[[int], OrderedView]
    ) -> FeatureReader:
        if name not in self._feature_readers:
            self._feature_readers[name] = FeatureReader(table, rows, lambda view: self.features(images(view)))
        return self._feature_readers[name]
