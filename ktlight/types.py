"""Types shared by all layers, a glossary, and the legend of the shape letters.

=============== =====================================================================================================
word            meaning
=============== =====================================================================================================
classifier      a network with its own preprocessing: raw images in, logits out
student         the classifier to be improved
initial student the frozen copy of the student before the transfer
teacher         a classifier that the student learns from
role            a classifier's name in a run's files: ``student``, ``teacher`` or ``teacher1``, ``teacher2``
source          a frozen classifier that can provide targets: the initial student (source 0) or a teacher
candidates      the sources that a routing rule chooses from
router          decides which source teaches each sample; the *target* is the logits that the student learns from
network         what a method trains or runs: the student (network 0), and its peers if they learn too
peer            a further network that learns together with the student (``kdcl``, ``dml``, ``bikd``)
canvas          the square that training views are drawn on, the same for all networks
framing         how plain images are prepared for a model: resized and cropped to its input size
label map       how a network's own classes answer in the data's, where they are others
mapped mass     how much of a network's belief is about the data's classes at all
store           where outputs of frozen models are kept; *zoo*: where trained models are kept
=============== =====================================================================================================

Tensors in pure code carry their shape as a suffix, as in ``logits_MBC``:

====== ==================================================
letter meaning
====== ==================================================
M      sources: the initial student is 0, teachers follow
N      networks that train, the student is 0
B      samples of a batch
C      classes of the data
Z      classes of a network whose own are others
D      features
K      samples that each sample is contrasted with
E      dimensions of an embedding
====== ==================================================
"""

from typing import NotRequired, Protocol, TypedDict, TypeVar

import torch
from torch import Tensor


class Batch(TypedDict):
    """A batch, as it flows from the data to the loss.

    Attributes:
        image: Raw pixels, ``uint8 [B, 3, H, W]``, never normalised (a user's own data set may give floats).
        label: ``int64 [B]``.
        index: Stable row number of each sample within its split, ``int64 [B]``.
        view: Number of the augmented view of all images in the batch; -1 for plain images.
        peer_images: The same samples in other views, one for each further network, if networks see their own views.
        mapped_mass: How much of each source's belief is about the data's classes, ``float [M, B]``, if one of those
            that the sample router asks answers in other classes.
    """

    image: Tensor
    label: Tensor
    index: Tensor
    view: int
    peer_images: NotRequired[list[Tensor]]
    mapped_mass: NotRequired[Tensor]


class RoutedBatch(Batch):
    """A batch to which the sample router has added each sample's source and target.

    Attributes:
        source: Which source teaches each sample, ``int64 [B]``; -1 leaves the sample out.
        target: The target logits of each sample, ``float [B, C]``.
        features: The features of each candidate, ``float [B, D_m]``, for methods that need them.
        weight: The weight of each sample in the loss, ``float [B]``, where it is not 1 for all.
    """

    source: Tensor
    target: Tensor
    features: NotRequired[list[Tensor]]
    weight: NotRequired[Tensor]


AnyBatch = TypeVar("AnyBatch", bound=Batch)
"""The batches that a method learns from: routed or not."""


class LogitMap(Protocol):
    """Maps logits ``[B, Z]`` in a network's own classes to the data's: logits ``[B, C]``, and the mapped mass ``[B]``.

    Attributes:
        missing: The data's classes that none of the network's maps to.
    """

    missing: tuple[int, ...]

    def __call__(self, own_logits_BZ: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits and the mass."""


class LogitSource(Protocol):
    """A frozen model, live or stored, that can teach."""

    name: str

    @property
    def label_map(self) -> LogitMap | None:
        """How its own classes answer in the data's; None if they are the data's."""

    def to(self, device: torch.device) -> None:
        """Move the source to ``device``."""

    def logits(self, batch: Batch) -> Tensor:
        """Return the logits in its own classes for a batch, ``[B, Z]``, without a gradient."""


class FeatureSource(LogitSource, Protocol):
    """A source that also returns features: the input of its classifier layer."""

    @property
    def num_features(self) -> int:
        """Number of features, D."""

    def logits_and_features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the logits ``[B, Z]`` and the features ``[B, D]`` for a batch, without a gradient."""
