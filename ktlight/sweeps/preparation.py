"""What several runs of a sweep need and one job makes first: trained models, and outputs in the store.

Locks see to it that each is made once even without this; but then the jobs that need the same model wait for one
another, each in a slot of its own.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from omegaconf import DictConfig

from ktlight.config.identity import digest, resolved
from ktlight.config.literal import literal
from ktlight.config.models import kind_of, model_config, model_entry
from ktlight.models.names import file_name
from ktlight.models.spec import ModelConfig
from ktlight.sweeps.asked import asked_about_views
from ktlight.sweeps.composition import SweepLoader
from ktlight.sweeps.pairs import PairRun

GROUPS = ("data", "pretrain", "trainer", "seed", "store", "transfer", "compat")
"""The groups that a model's weights and stored outputs depend on, besides the model."""
UNSEEN = {"data": ("batch_size",), "transfer": ("batchnorm",)}
"""Options of them on which they do not."""


class Needed(NamedTuple):
    """What runs need of a model.

    Attributes:
        options: The options of such a run but for the models.
        model: The model.
        runs: Their positions in the sweep.
        views: Whether they ask it about training views.
    """

    options: tuple[str, ...]
    model: ModelConfig
    runs: list[int]
    views: bool


def preparations(config: DictConfig, loader: SweepLoader, runs: Sequence[PairRun]) -> list[tuple[list[str], list[int]]]:
    """Return the options of the jobs that prepare what at least two runs need, and the positions of those runs."""
    kinds: dict[tuple[str, ...], tuple[str, frozenset[str]]] = {}
    uses: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    models: dict[str, ModelConfig] = {}
    for number, run in enumerate(runs):
        if run.shared not in kinds:
            kinds[run.shared] = _kind(loader.composed(run.shared))
        for role, model in run.models.items():
            key = repr(model)
            models[key] = model
            uses[kinds[run.shared][0], key].append((number, kind_of(role)))
    jobs = []
    for (_, key), users in uses.items():
        numbers = [number for number, _ in users]
        if len(numbers) > 1:
            views = any(role in kinds[runs[number].shared][1] for number, role in users)
            options = min(runs[number].shared for number in numbers)
            jobs.append((prepare_options(config, Needed(options, models[key], numbers, views)), numbers))
    return jobs


def prepare_options(config: DictConfig, needed: Needed) -> list[str]:
    """Return the options of the job that prepares a model."""
    model = needed.model
    entry = model_entry(model, model_config(config.teacher))
    label = file_name(model.name) + "-views" * needed.views
    return [
        *needed.options,
        "task=store",
        "store.action=prepare",
        f"store.views={literal(needed.views)}",
        f"models=[{literal(entry)}]",
        f"task.label=prepare-{label}-${{data.name}}-seed${{seed}}",
        "resume=true",
    ]


def _kind(config: DictConfig) -> tuple[str, frozenset[str]]:
    """Return what weights and outputs depend on besides the model, and the roles asked about training views."""
    facts = [_seen(config, group) for group in GROUPS]
    if config.store.mode == "fill":  # the fresh views of all epochs are stored
        facts.append(resolved(config, "recipe"))
    return digest(facts), asked_about_views(config)


def _seen(config: DictConfig, group: str) -> Any:
    value = resolved(config, group)
    if not isinstance(value, dict):
        return value
    return {name: each for name, each in value.items() if name not in UNSEEN.get(group, ())}
