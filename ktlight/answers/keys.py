"""The keys under which a model's outputs are stored."""

from importlib.metadata import version

from ktlight.answers.repeatable import Outputs
from ktlight.models.classifier import Classifier
from ktlight.models.libraries.library import library_of_network
from ktlight.store.key import Key
from ktlight.store.structure import structure

SOFTWARE = " ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "timm", "simplejpeg"))


def keys_of(wanted: Outputs, precision: str) -> list[Key]:
    """Return the key of the outputs for each view.

    How a model's classes are mapped is no part of it: its own logits are stored, which serve every label space.

    Args:
        wanted: The outputs.
        precision: The device and precision that they are computed with; see `ktlight.answers.device.Device`.
    """
    classifier = wanted.classifier
    weights, architecture = classifier.weights_hash(), structure(classifier.network)
    return [
        Key(
            model=classifier.name,
            weights=weights,
            architecture=f"{classifier.architecture} {architecture}",
            preprocess=repr(classifier.preprocess),
            data=view.fingerprint,
            transform=view.transform,
            view=view.view,
            precision=precision,
            software=software(classifier),
            form=wanted.form.name,
        )
        for view in wanted.views
    ]


def software(classifier: Classifier) -> str:
    """Return the versions of what computes a model's outputs."""
    library = library_of_network(classifier.network)
    if library is None or f"{library.package} " in SOFTWARE:
        return SOFTWARE
    return f"{SOFTWARE} {library.package} {version(library.package)}"
