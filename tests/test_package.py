"""The wheel works by itself: its command and its configs, in a folder that knows nothing of this repository."""

import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.skipif(find_spec("hatchling") is None, reason="building the wheel needs hatchling")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(REPOSITORY))
    (built,) = folder.glob("ktlight-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    _pip("install", "--no-deps", "--no-index", "--target", str(folder), str(wheel))
    return folder


def test_wheel_holds_the_package_its_types_and_its_configs(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    code = {str(file.relative_to(REPOSITORY)) for file in (REPOSITORY / "ktlight").rglob("*.py")}
    page = (REPOSITORY / "ktlight/publication/page").rglob("*.*")
    code |= {str(file.relative_to(REPOSITORY)) for file in page if file.suffix != ".pyc"} | {
        "ktlight/publication/page/vendor/tabulator/LICENSE"
    }
    configs = {f"ktlight/{file.relative_to(REPOSITORY)}" for file in (REPOSITORY / "conf").rglob("*.yaml")}
    assert code | configs | {"ktlight/py.typed", "hydra_plugins/ktlight.py"} <= names
    assert {name for name in names if ".dist-info/" not in name} == code | configs | {
        "ktlight/py.typed",
        "hydra_plugins/ktlight.py",
    }


def test_console_command_works_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    shown = _run(installed, tmp_path, str(installed / "bin" / "ktlight"), "--help")
    assert "method: bikd, cd, crd, " in shown
    config = _run(
        installed, tmp_path, str(installed / "bin" / "ktlight"), "method=kdcl", "teacher=vit_b", "--cfg", "job"
    )
    assert "vit_base_patch16_224" in config
    assert not list(tmp_path.iterdir())


def test_installed_package_finds_its_own_configs(installed: Path, tmp_path: Path) -> None:
    show = "from ktlight.config.location import config_directory; print(config_directory())"
    assert Path(_run(installed, tmp_path, "-c", show).strip()) == installed / "ktlight" / "conf"


def test_checkout_finds_the_configs_beside_it() -> None:
    from ktlight.config.location import config_directory

    assert config_directory() == REPOSITORY / "conf"


def _pip(*arguments: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr


def _run(installed: Path, folder: Path, *arguments: str) -> str:
    run = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(installed)},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout
