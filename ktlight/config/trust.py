"""Whose code a config may name: ktlight's parts, the optimisers, and what the user trusts on purpose."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from ktlight.errors import UserError, nearest
from ktlight.report.secrets import reveals

VARIABLE = "KTLIGHT_TRUSTED"
"""Environment variable with the further packages to trust, separated by commas; no config can set it."""
PARTS = ("ktlight.data", "ktlight.methods", "ktlight.restraints", "ktlight.routing", "torch.optim", "timm.optim")
"""Packages that the parts of a run come from."""
ENGINES = (
    "hydra._internal.core_plugins",
    "hydra.experimental.callbacks",
    "hydra_plugins",
    "ktlight",
    "optuna.samplers",
)
"""Packages that launchers, sweepers, callbacks and loggers come from."""
HANDLERS = re.compile(r"logging\.\w+|logging\.handlers\.(Timed)?RotatingFileHandler")
STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
ENGINE_NAMES = ("hydra", "launcher")
"""Configs of these decide where and how jobs are started: commands of a shell, addresses, classes of loggers."""
HEADER = re.compile(r"^#\s*@package\s+.*\b(hydra|launcher)\b", re.M)


def trusted() -> list[str]:
    """Return the packages that the user trusts besides."""
    return [name for name in re.split(r"[,\s]+", os.environ.get(VARIABLE, "")) if name]


def is_from(name: str, packages: Sequence[str]) -> bool:
    """Return whether a dotted name lies in one of some packages.

    >>> is_from("torch.optim.SGD", ["torch.optim"]), is_from("torch.optimist.SGD", ["torch.optim"])
    (True, False)
    """
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def check_trusted(name: str, key: str, packages: Sequence[str] = PARTS) -> None:
    """Check that the code of a dotted name may run, before it is imported.

    Raises:
        UserError: It is from nobody who is trusted.
    """
    if not is_from(name, [*packages, *trusted()]):
        package = name.partition(".")[0]
        module = name.rpartition(".")[0]
        raise UserError(
            f"{key}={name} would run code from outside {', '.join(packages)}.{nearest(module, packages, 1)} If it is "
            f"yours, or you trust it: {VARIABLE}={package} python run.py ... (docs/security.md)"
        )


def check_engines(config: DictConfig) -> None:
    """Check what Hydra's own part of a config names: launcher, sweeper, callbacks and loggers.

    Raises:
        UserError: It would run code of somebody who is not trusted.
    """
    plain: Any = OmegaConf.to_container(config.hydra, resolve=False)
    for key, value in _items(plain, "hydra"):
        leaf, said = key.rpartition(".")[2], str(value)
        if leaf in ("_target_", "()") and value is not None:
            check_trusted(said, key, ENGINES)
        elif key.startswith(("hydra.job_logging.", "hydra.hydra_logging.")):
            if leaf == "class" and not HANDLERS.fullmatch(said):
                check_trusted(said, key, ENGINES)
            elif said.startswith(("ext://", "cfg://")) and said not in STREAMS:
                check_trusted(said.partition("://")[2], key, ENGINES)


def check_folders(folders: Sequence[str | Path]) -> None:
    """Check that further folders of configs (``--config-dir``) say nothing about how jobs are started.

    Raises:
        UserError: One does, and the user does not trust it to.
    """
    if "hydra" in trusted():
        return
    for folder in map(Path, folders):
        try:
            files = sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")])
        except OSError as error:
            raise UserError(f"no configs can be looked for in {str(folder)[:80]} ({error.strerror})") from error
        for file in files:
            if _starts_jobs(file, file.relative_to(folder).parts[:-1]):
                raise UserError(
                    f"{file} configures Hydra or a launcher, which can run commands. If it is yours, or you trust it: "
                    f"{VARIABLE}=hydra python run.py ... (docs/security.md)"
                )


def search_folders(typed: Sequence[str]) -> list[str]:
    """Return the folders that the option ``hydra.searchpath`` adds.

    Raises:
        UserError: It names a package, whose code would run.
    """
    found = []
    for line in typed:
        if line.lstrip("+").startswith("hydra.searchpath"):
            value = OverridesParser.create().parse_override(line).value()
            for entry in value if isinstance(value, list) else [value]:
                scheme, _, rest = str(entry).rpartition("://")
                if scheme not in ("", "file"):
                    check_trusted(rest, line.partition("=")[0], ())
                found.append(rest)
    return found


def check_secrets(typed: Sequence[str]) -> None:
    """Check that options hold neither a token nor a password: they are written to the run's folder.

    Raises:
        UserError: They do.
    """
    for text in typed:
        if reveals(text):
            raise UserError(
                f"{text.partition('=')[0]} holds a token or a password, which the run's folder would keep. Log in "
                "(hf auth login, wandb login), or give it as HF_TOKEN or WANDB_API_KEY in the environment"
            )


def check_composed(config: DictConfig) -> None:
    """Check what a composed config names and holds: `check_secrets`, and the code of Hydra's own part.

    Raises:
        UserError: It holds a token or a password, or would run code of somebody who is not trusted.
    """
    check_engines(config)
    for name in (str(key) for key in config if key != "hydra"):
        node = OmegaConf.select(config, name)
        plain = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
        check_secrets([f"{key}={value}" for key, value in _items(plain, name) if isinstance(value, str)])


def _starts_jobs(file: Path, group: Sequence[str]) -> bool:
    try:
        text = file.read_text()
        content = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError):  # Hydra says so, if it is used
        return False
    named = {*group[:1], *(part for key, _ in _items(content) for part in key.split("."))}
    defaults = content.get("defaults") if isinstance(content, dict) else None
    said = " ".join(f"{key} {value}" for key, value in _items(defaults))
    return bool(HEADER.search(text)) or any(name in named or name in said for name in ENGINE_NAMES)


def _items(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of nested mappings and lists with its dotted key, and the keys of what has none."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else None
    if children is None:
        yield key, node
        return
    for name, child in children:
        below = f"{key}.{name}" if key else str(name)
        yield from _items(child, below)
        if isinstance(child, dict | list) and not child:
            yield below, None
