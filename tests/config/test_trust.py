"""Configs from somebody else run no code of theirs, until the user says so."""

import sys
from pathlib import Path

import pytest
from conftest import Command
from omegaconf import OmegaConf

from ktlight.config.trust import check_engines, check_folders, is_from, search_folders
from ktlight.errors import UserError


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that leaves a file when it is imported, with a router; and the file."""
    left = tmp_path / "left"
    (tmp_path / "theirs.py").write_text(
        f"open({str(left)!r}, 'w').close()\n"
        "import logging\n"
        "from ktlight.routing.fixed import Fixed\n"
        "from hydra.experimental.callback import Callback\n"
        "class Mine(Fixed): pass\n"
        "class Watch(Callback): pass\n"
        "class Shout(logging.StreamHandler): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    return left


THEIRS = [
    ["router._target_=theirs.Mine"],
    ["data.load._target_=theirs.Mine"],
    ["optim.peers=[{optimizer: {_target_: theirs.Mine}}]", "method=dml"],
    ["+hydra.callbacks.x._target_=theirs.Watch"],
    ["hydra.job_logging.handlers.console.class=theirs.Shout"],
    ["hydra.searchpath=[pkg://theirs]"],
]


@pytest.mark.parametrize("typed", THEIRS, ids=lambda typed: typed[0].partition("=")[0])
def test_other_code_is_not_even_imported(typed: list[str], module: Path, command: Command, tmp_path: Path) -> None:
    ended = command(*typed, "trainer.max_epochs=1")
    assert ended.code == 1 and "KTLIGHT_TRUSTED=theirs" in ended.err, ended.err
    assert not module.exists()
    assert (tmp_path / "runs").exists() == (typed[-1] == "method=dml")  # whose parts are put together in the run


@pytest.mark.parametrize(
    "logging",
    [
        {"filters": {"x": {"()": "theirs.Mine"}}},
        {"formatters": {"x": {"class": "theirs.Mine"}}},
        {"handlers": {"x": {"class": "logging.handlers.SocketHandler"}}},
        {"handlers": {"x": {"class": "logging.StreamHandler", "stream": "ext://theirs.x"}}},
    ],
)
def test_loggers_are_of_known_kinds(logging: dict[str, object]) -> None:
    check_engines(OmegaConf.create({"hydra": {"job_logging": {"handlers": {"x": {"class": "logging.StreamHandler"}}}}}))
    with pytest.raises(UserError, match="would run code"):
        check_engines(OmegaConf.create({"hydra": {"job_logging": logging}}))


@pytest.mark.parametrize(
    "target",
    [
        "os.system", "builtins.exec", "subprocess.Popen", "ktlight.config.instantiate.import_module",
        "ktlight.data.dataset.replace", "ktlight.report.files.write_text", "ktlight.cli.main",
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["data.load", "method", "restraint", "optim.optimizer"])
def test_nor_is_what_trusted_code_has_at_hand(target: str, key: str, command: Command) -> None:
    ended = command(f"{key}._target_={target}")
    assert ended.code == 1 and f"{key}._target_={target}" in ended.err and "Traceback" not in ended.err


def test_the_function_of_a_data_set_must_return_one(command: Command) -> None:
    ended = command("data.load._target_=ktlight.data.dataset.numbered_classes")
    assert ended.code == 1 and "returns no data set" in ended.err


def test_what_the_user_trusts_runs(
    module: Path, zoo: dict[str, Path], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KTLIGHT_TRUSTED", "other, theirs")
    ended = command("router._target_=theirs.Mine", "method=kl", "trainer.max_epochs=1", "store=off")
    assert ended.code == 0 and module.exists(), ended.err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("experiment/a.yaml", "# @package _global_\nhydra: {launcher: {setup: [rm -rf /]}}"),
        ("experiment/a.yaml", "# @package _global_\ndefaults: [{override /hydra/launcher: ray}]"),
        ("experiment/a.yaml", "# @package _global_\ndefaults: [{override /launcher: ray}]\nseed: 1"),
        ("experiment/a.yaml", '# @package _global_\n"\\x68ydra": {launcher: {}}'),
        ("experiment/a.yaml", "# @package hydra.launcher\nsetup: [evil]"),
        ("experiment/a.yaml", "defaults: [data@hydra.job: digits]"),
        ("launcher/a.yaml", "name: ray"),
        ("hydra/job_logging/a.yaml", "version: 1"),
        ("a.yml", "launcher: {address: evil.example.org}"),
    ],
)
def test_a_folder_of_configs_starts_nothing(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    with pytest.raises(UserError, match="KTLIGHT_TRUSTED=hydra"):
        check_folders([tmp_path])
    monkeypatch.setenv("KTLIGHT_TRUSTED", "hydra")
    check_folders([tmp_path])


def test_a_folder_of_options_works(zoo: dict[str, Path], command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "quick.yaml").write_text("# @package _global_\ntrainer: {max_epochs: 1}\n")
    ended = command("--config-dir", "mine", "--cfg", "job", "experiment=quick")
    assert ended.code == 0 and "max_epochs: 1" in ended.out


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["--config-dir=theirs", "--help"], "configures Hydra"),
        (["hydra.searchpath=[file://theirs]"], "configures Hydra"),
        (["--config-path=theirs"], "--config-dir"),
        (["--experimental-rerun=theirs/config.pickle"], "pickle"),
    ],
)
def test_what_hydra_would_read_by_itself(typed: list[str], told: str, command: Command, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "a.yaml").write_text("hydra: {run: {dir: /}}")
    ended = command(*typed)
    assert ended.code == 1 and told in ended.err and "Traceback" not in ended.err


def test_names_and_folders() -> None:
    assert is_from("torch.optim", ["torch.optim"]) and not is_from("torch.optimist.SGD", ["torch.optim"])
    assert search_folders(["seed=1", "hydra.searchpath=[file:///a,/b]"]) == ["/a", "/b"]
