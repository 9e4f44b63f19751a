"""Makes every model a choice of the config groups ``student`` and ``teacher``, without a file for each.

Hydra reads configs from sources; this one serves the two groups from the names that libraries know, so
`teacher=vit_b`, `student=convnext_tiny` and the sweep `teacher=glob(vit_*)` work like any other choice.
"""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from ktlight.models.libraries.library import is_known, listed_names, resolve
from ktlight.models.names import ALIASES
from ktlight.models.spec import ModelConfig

MODEL_GROUPS = ("student", "teacher")


class ModelSource(ConfigSource):
    """Config source ``models://``: one config for each model name in each model group."""

    @staticmethod
    def scheme() -> str:
        """Return the prefix of this source in Hydra's search path."""
        return "models"

    def available(self) -> bool:
        """Return whether the source can be read: always."""
        return True

    def load_config(self, config_path: str) -> ConfigResult:
        """Return the `ktlight.models.spec.ModelConfig` of ``group/name``."""
        name = config_path.partition("/")[2].removesuffix(".yaml")
        return ConfigResult(config=model_node(name), path="models://", provider=self.provider, header={"package": None})

    def is_group(self, config_path: str) -> bool:
        """Return whether the path is one of the model groups."""
        return config_path.rstrip("/") in MODEL_GROUPS

    def is_config(self, config_path: str) -> bool:
        """Return whether the path is a model group followed by the name of a model."""
        group, _, name = config_path.partition("/")
        return group in MODEL_GROUPS and is_known(name.removesuffix(".yaml"))

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return the groups, or the model names of one group.

        A glob must not match an architecture twice, so aliases are not listed.
        """
        if config_path == "":
            return [] if results_filter == ObjectType.CONFIG else list(MODEL_GROUPS)
        if self.is_group(config_path) and results_filter != ObjectType.GROUP:
            return listed_names()
        return []


class ModelSearchPath(SearchPathPlugin):
    """Puts ``models://`` at the end of Hydra's search path: a YAML file of the same name wins."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the source to ``search_path``."""
        search_path.append("ktlight", "models://")


def model_node(name: str) -> DictConfig:
    """Return the config of a model by its name: a library's, or an alias. Its labels are found as the run's are."""
    node: DictConfig = OmegaConf.structured(ModelConfig(name=name, architecture=resolve(name)))
    node.labels = "${labels}"
    return node


def register_models() -> None:
    """Register the model source with Hydra."""
    Plugins.instance().register(ModelSource)
    Plugins.instance().register(ModelSearchPath)


def model_choices() -> list[str]:
    """Return every valid value of ``student=`` and ``teacher=``, including aliases."""
    return sorted({*listed_names(), *ALIASES})
