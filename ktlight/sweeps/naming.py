"""Names the folders of a sweep's jobs, thousands a minute: only what differs between jobs is resolved again.

The folder of a run ends in a digest of its resolved config. Most jobs of a sweep differ in a model or a seed, on which
few groups depend. Which ones, the interpolations of the config say.
"""

import copy
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf, flag_override, open_dict

from ktlight.config.identity import VOLATILE, digest, resolved, written
from ktlight.sweeps.composition import Split, SweepLoader, apply, parse

EVERYTHING = "*"
PURE = ("oc.env", "teacher_names", "model_names", "file_name", "product", "largest", "share_if", "only_if")
"""Resolvers that depend on their arguments alone, and the environment."""
REFERENCE = re.compile(r"\$\{\s*([^\s:{}\[\]]*)\s*(:?)")
RUN_ID, LABEL = "${run_id:}", "${task.label}"


def folder_names(loader: SweepLoader, jobs: Sequence[Sequence[str]]) -> list[str]:
    """Return the name of each job's folder in that of the sweep.

    Args:
        loader: Composes the configs.
        jobs: The options of each job.
    """
    split = [loader.split([*loader.typed, *job]) for job in jobs]
    by_files: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, options in enumerate(split):
        by_files[options.files].append(number)
    names = [""] * len(jobs)
    for numbers in by_files.values():
        common = _common(split[number].values for number in numbers)
        namer = Namer(loader, split[numbers[0]], common)
        for number in numbers:
            names[number] = namer.name(split[number], number)
    return names


class Namer:
    """Names the folders of jobs that choose the same config files.

    Args:
        loader: Composes the configs.
        first: The options of one of the jobs.
        common: Options that all of them have, on groups that no other option of theirs changes.
    """

    def __init__(self, loader: SweepLoader, first: Split, common: frozenset[str]) -> None:
        self.config = copy.deepcopy(loader.base(first))
        self.common = common
        apply(self.config, [value for value in first.values if value in common])
        self.keys = [key for key in map(str, self.config) if key not in VOLATILE]
        self.needs = dependencies(self.config)
        self.untouched: dict[str, Any] = {}
        self.nodes: dict[tuple[str, tuple[str, ...]], Any] = {}
        self.values: dict[tuple[str, tuple[str, ...]], tuple[Any, str]] = {}

    def name(self, options: Split, number: int) -> str:
        """Return the name of a job's folder.

        Args:
            options: Of the job.
            number: Of the job in the sweep.
        """
        changed: dict[str, tuple[str, ...]] = {group: (f"{group}={name}",) for group, name in options.models.items()}
        for value in options.values:
            if value not in self.common:
                key = _group_of(value)
                changed[key] = (*changed.get(key, ()), value)
        for key in self.untouched.keys() | changed.keys():
            self._change(key, changed.get(key, ()), options.models)
        if any("${" in text for texts in changed.values() for text in texts):
            self.values.clear()  # such a value may make any group depend on any other
        return self._name(changed, number)

    def _change(self, key: str, options: tuple[str, ...], models: Mapping[str, str]) -> None:
        """Replace the node of a top-level key by what options make of it."""
        if key not in self.untouched:
            self.untouched[key] = self.config._get_node(key)
        if (key, options) in self.nodes or not options:
            self._put(key, self.nodes.get((key, options), self.untouched[key]))
            return
        self._put(key, copy.deepcopy(self.untouched[key]))
        if key in models:
            SweepLoader.name_models(self.config, {key: models[key]})
        apply(self.config, options[key in models :])
        self.nodes[key, options] = self.config._get_node(key)

    def _put(self, key: str, node: Any) -> None:
        with open_dict(self.config), flag_override(self.config, "no_deepcopy_set_nodes", True):
            if node is None:
                self.config.pop(key, None)
            else:
                self.config[key] = node

    def _name(self, changed: Mapping[str, tuple[str, ...]], number: int) -> str:
        said = {key: self._value(key, changed) for key in self.keys}
        template = str(self.config.hydra.sweep._get_node("subdir")._value())
        name = template.replace(RUN_ID, digest("".join(text for _, text in said.values())))
        name = name.replace(LABEL, said["task"][0]["label"])
        if "${" in name:
            self.config.hydra.job.num, self.config.hydra.sweep.subdir = number, name
            name = str(self.config.hydra.sweep.subdir)
            self.config.hydra.sweep.subdir = template
        return name

    def _value(self, key: str, changed: Mapping[str, tuple[str, ...]]) -> tuple[Any, str]:
        """Return the resolved value of a top-level key, and its YAML."""
        needs = self.needs[key]
        typed = tuple(
            text for group, texts in changed.items() if group in needs or EVERYTHING in needs for text in texts
        )
        if (key, typed) not in self.values:
            value = resolved(self.config, key)
            self.values[key, typed] = value, written(key, value)
        return self.values[key, typed]


def dependencies(config: DictConfig) -> dict[str, set[str]]:
    """Return the top-level keys that each top-level key's resolved value depends on, itself included.

    `EVERYTHING` stands among them if that cannot be told from the interpolations.
    """
    needs = {key: {key, *_referred(config, key)} for key in map(str, config) if key != "hydra"}
    changed = True
    while changed:
        changed = False
        for own in needs.values():
            further = set().union(*(needs.get(key, {key}) for key in own)) - own
            own |= further
            changed |= bool(further)
    return needs


def _referred(config: DictConfig, key: str) -> Iterator[str]:
    node = config._get_node(key)
    raw: Any = OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else node._value()  # type: ignore
    for text in _texts(raw):
        for name, colon in REFERENCE.findall(text):
            if colon:
                yield from () if name in PURE else (EVERYTHING,)
            else:
                yield EVERYTHING if name.startswith(".") or not name else name.partition(".")[0]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _group_of(option: str) -> str:
    return str(parse(option).key_or_group).partition(".")[0].partition("[")[0]


def _common(values: Iterable[tuple[str, ...]]) -> frozenset[str]:
    """Return the options that all jobs have, on groups that no other option changes."""
    lists = list(values)
    count = Counter(value for own in lists for value in set(own))
    shared = {value for value, times in count.items() if times == len(lists)}
    varied = {_group_of(value) for value in count.keys() - shared}
    return frozenset(value for value in shared if _group_of(value) not in varied)
