"""A network's last layer as a classifier of its own, which takes stored features in place of images."""

from torch import nn

from ktlight.errors import UserError
from ktlight.functional.geometry import FEATURES, Framing
from ktlight.models.classifier import Classifier
from ktlight.models.features import classifier_layers


class Head(Classifier):
    """The linear layer of a classifier, sharing its weights: what the head learns, the whole network has learned.

    The features are the input of that layer with everything before it in evaluation mode: BatchNorm statistics stay,
    and dropout is off.

    Args:
        whole: The classifier.

    Raises:
        UserError: Its logits are not those of a single linear layer.
    """

    storable = False

    def __init__(self, whole: Classifier) -> None:
        layers = classifier_layers(whole.network)
        if len(layers) != 1 or not isinstance(layers[0], nn.Linear):
            found = ", ".join(type(layer).__name__ for layer in layers) or "none"
            raise UserError(
                f"{whole.name} ({type(whole.network).__name__}) has no single linear layer that gives its logits (its "
                f"classifier layers: {found}), so its head cannot learn alone: use transfer.part=all"
            )
        super().__init__(
            nn.Sequential(layers[0]),  # a container of its own: compiling it leaves the whole network as it is
            nn.Identity(),
            name=whole.name,
            architecture=whole.architecture,
            num_classes=whole.num_classes,
        )
        self.provenance = whole.provenance

    @property
    def framing(self) -> Framing:
        """Plain images come as their features."""
        return FEATURES
