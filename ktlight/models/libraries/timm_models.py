"""timm, whose interface of networks the other libraries' are adapted to."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktlight.errors import UserError, nearest
from ktlight.models.names import ALIASES, architectures
from ktlight.models.provenance import Provenance
from ktlight.models.spec import HUB_PREFIX, ModelConfig

if TYPE_CHECKING:
    from torch import Tensor, nn

USAGE = """\
import timm

model = timm.create_model("local-dir:{folder}", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
"""


class TimmModels:
    """The models of timm, without a prefix; see `ktlight.models.libraries.library.ModelLibrary`."""

    title, package, prefix = "timm", "timm", ""

    def names(self) -> Sequence[str]:
        """Return every architecture."""
        return architectures()

    def knows(self, name: str) -> bool:
        """Return whether ``name``, without its tag, is an alias or an architecture."""
        base = self.untagged(name)
        return base in ALIASES or base in architectures()

    def resolve(self, name: str) -> str:
        """Return the architecture for an alias or a name; a tag (``vit_b.augreg_in21k_ft_in1k``) is kept."""
        base, dot, tag = name.partition(".")
        if self.knows(name):
            return ALIASES.get(base, base) + dot + tag
        hint = nearest(name, [*ALIASES, *architectures()])
        raise UserError(f"There is no model called {name!r}.{hint} Any name of timm.list_models() or an alias will do.")

    def untagged(self, architecture: str) -> str:
        """Return the part in front of the first dot."""
        return architecture.partition(".")[0]

    def identity(self, architecture: str) -> Mapping[str, str]:
        """Return the name itself: timm keeps what it stands for."""
        return {"architecture": architecture}

    def weights(self, architecture: str) -> Provenance | None:
        """Return where on the Hub timm keeps the weights of the tag, or of the architecture's default one."""
        from ktlight.models.network import recorded_config

        recorded = recorded_config(architecture)
        if not recorded.has_weights:
            return None
        return Provenance("hub", recorded.hf_hub_id or architecture, licence=recorded.license)

    def training_size(self, architecture: str, native_size: int) -> int:
        """Return a size between timm's minimum and the architecture's own."""
        from ktlight.models.network import training_size

        return training_size(architecture, native_size)

    def create(self, config: ModelConfig, num_classes: int, img_size: int | None = None) -> "nn.Module":
        """Return a network with random weights, built for a size if its architecture needs one."""
        from ktlight.models.network import create_network

        return create_network(config, num_classes, img_size)

    def load(self, config: ModelConfig, checkpoint: str | None) -> "nn.Module":
        """Return a network with the weights of a timm folder, a bare file or the Hub."""
        from ktlight.models.checkpoint import check_architecture, find_checkpoint, load_weights, read_folder_config
        from ktlight.models.hub import load_from_hub
        from ktlight.models.network import create

        if checkpoint is None:
            return load_from_hub(config, config.architecture)
        if checkpoint.startswith(HUB_PREFIX):
            network: Any = load_from_hub(config, checkpoint)
            check_architecture(config, network.pretrained_cfg["architecture"], checkpoint)
        elif (path := find_checkpoint(checkpoint)).is_dir():
            check_architecture(config, read_folder_config(path)["architecture"], checkpoint)
            network = create(f"local-dir:{path}", dict(config.kwargs))
            load_weights(network, path)
        else:
            network = _load_file(config, path)
        return network  # type: ignore[no-any-return]

    def class_names(self, network: Any) -> Sequence[str] | None:
        """Return ``label_names`` of the record, which weights that timm itself offers do not have."""
        return network.pretrained_cfg.get("label_names")  # type: ignore[no-any-return]

    def export(self, network: Any, folder: Path, preprocessing: Mapping[str, Any], class_names: Sequence[str]) -> None:
        """Write the folder that ``timm.create_model("local-dir:...")`` reads."""
        from timm.models import save_for_hf

        save_for_hf(
            network,
            str(folder),
            model_config={"label_names": list(class_names)} if class_names else None,
            safe_serialization=True,
            data_config=dict(preprocessing) or None,
        )

    def usage(self, folder: str) -> str:
        """Return Python that loads an exported folder."""
        return USAGE.format(folder=folder)

    def usage_line(self, folder: str) -> str:
        """Return the call that loads the network of an exported folder."""
        return f"timm.create_model('local-dir:{folder}', pretrained=True)"

    def usage_on_hub(self, repository: str) -> str | None:
        """Return the call that loads it from the Hub."""
        return f'timm.create_model("hf-hub:{repository}", pretrained=True)'


def _load_file(config: ModelConfig, path: Path) -> "nn.Module":
    from ktlight.models.checkpoint import compare, load_state, read_state_dict
    from ktlight.models.network import create_network

    state = read_state_dict(path)
    num_classes = _classes_of(state, config.architecture)
    network = create_network(config, num_classes, config.img_size)
    if config.img_size is not None and compare(network, state):  # weights of the default size, to be resampled
        network = create_network(config, num_classes)
    load_state(network, state, path)
    return network


def _classes_of(state: Mapping[str, "Tensor"], architecture: str) -> int:
    """Return the output size of the last layer in a state dict, or the one timm records if there is no such layer."""
    from ktlight.models.network import classifier_layers, recorded_config

    weights = (f"{layer}.weight" for layer in classifier_layers(architecture))
    lengths = (len(state[weight]) for weight in weights if weight in state)
    return next(lengths, recorded_config(architecture).num_classes)
