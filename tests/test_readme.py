"""Every command and every Python snippet of the documentation runs.

Commands run in this process, in a folder that holds what they name (photos, parquet files, weights), cut to one epoch
and one seed, and with small models in place of large ones. Blocks that cannot run here say why in a comment before
them: `<!-- not run: reason -->`; of their `make` commands at least the targets must exist.
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import REPOSITORY, SHARED, Command
from tests.data.conftest import encode, random_pixels
from tests.ranks import run_in_ranks

DOCUMENTS = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]*) -->\n)?^```(?P<language>bash|python)\n(?P<code>.*?)^```$", re.M | re.S
)
SMALL = {"vit_b": "test_vit", "vit_t": "test_vit", "resnet50": "test_resnet", "resnet18": "test_resnet"}
"""What stands in for models that would take minutes here; the command with the real ones is composed, not run."""
QUICK = {"trainer.max_epochs": "1", "pretrain.epochs": "1"}
SEEDS = {"seed=0,1": "seed=0", "seeds=[0,1]": "seeds=[0]"}
ONE = "runs/transfer/kl_dp-*-seed1-*"


@dataclass(frozen=True)
class Snippet:
    """A command or a piece of Python in the documentation."""

    place: str
    language: str
    code: str
    reason: str | None


def snippets(language: str) -> list[Any]:
    """Return the commands (a line each) or Python blocks of all documents as test parameters, each once."""
    found: dict[tuple[str, ...], Snippet] = {}
    for snippet in (snippet for file in DOCUMENTS for snippet in _of(file) if snippet.language == language):
        words = shlex.split(snippet.code, comments=True) if language == "bash" else [snippet.code]
        found.setdefault((snippet.reason or "", *words), snippet)
    return [pytest.param(snippet, id=snippet.place) for snippet in found.values()]


def _of(file: Path) -> Iterator[Snippet]:
    text = file.read_text()
    for block in BLOCK.finditer(text):
        line = text[: block.start("code")].count("\n") + 1
        code, language, reason = block["code"], block["language"], block["reason"]
        pieces = code.replace("\\\n", " ").splitlines() if language == "bash" else [code]
        for offset, piece in enumerate(pieces):
            if piece.strip() and not piece.lstrip().startswith("#" if language == "bash" else "\0"):
                yield Snippet(f"{file.name}:{line + offset}", language, piece, reason)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images and weights that the documentation's commands name."""
    import safetensors.torch
    import timm
    from transformers import ResNetConfig

    folder = tmp_path_factory.mktemp("workplace")
    for split, each in (("train", 12), ("val", 4)):
        rows = [(row % 3, encode(random_pixels(row, 32, 32))) for row in range(3 * each)]
        for number, (label, content) in enumerate(rows):
            file = folder / "photos" / split / f"class_{label}" / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        _write_parquet(folder / f"{split}.parquet", "image", rows)
        (folder / "cifar10").mkdir(exist_ok=True)
        ten = [(number % 10, content) for number, (_, content) in enumerate(rows * 2)]
        _write_parquet(folder / "cifar10" / f"cifar10-{'test' if split == 'val' else split}.parquet", "img", ten)
    weights = timm.create_model("test_resnet", num_classes=3).state_dict()
    safetensors.torch.save_file(weights, folder / "resnet18.safetensors")
    (folder / "map.csv").write_text("model_class,class\n0,class_2\n1,class_0\n2,class_1\n")
    small = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    ResNetConfig(**small).save_pretrained(folder / "resnet-tiny")
    shutil.copytree(REPOSITORY / "docs" / "results", folder / "docs" / "results")
    return folder


@pytest.mark.parametrize("snippet", snippets("bash"))
def test_command_runs(
    snippet: Snippet, workplace: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace)
    words = shlex.split(snippet.code, comments=True)
    if words[0] == "make":
        _check_make_targets(snippet.code)
    if snippet.reason is not None:
        pytest.skip(snippet.reason)
    program, arguments = words[: words.index("run.py")], _cut(words[words.index("run.py") + 1 :])
    assert program[0] in ("python", "torchrun"), f"only run.py can be run here: mark {snippet.code!r} as not run"
    if program[0] == "torchrun" or "trainer=ddp" in arguments:
        _run_in_two(program[0], arguments, command, tmp_path)
        return
    if "../shared" in snippet.code and not SHARED.is_dir():
        pytest.skip(f"needs {SHARED}")
    _make_what_it_needs(words, command)
    outcome = command(*(argument.replace("../shared", str(SHARED)) for argument in arguments))
    assert outcome.code == 0 or ("task=status" in words and outcome.code == 75), outcome.out + outcome.err


@pytest.mark.parametrize("snippet", snippets("python"))
def test_python_runs(snippet: Snippet, workplace: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    if "runs/first" in snippet.code and not Path("runs/first").exists():
        assert command(*_cut(["hydra.run.dir=runs/first"])).code == 0
    if snippet.reason is not None:
        pytest.skip(snippet.reason)
    exec(compile(snippet.code, snippet.place, "exec"), {"__name__": "snippet"})


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.name)
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", document.read_text())
    files = [target for target in targets if "://" not in target]
    missing = [target for target in files if not (document.parent / target).exists()]
    assert not missing


def test_every_figure_of_the_results_is_described() -> None:
    """The table of docs/runs.md lists exactly the keys that a transfer writes."""
    import torch

    from ktlight.report.results import transfer_figures

    described = (REPOSITORY / "docs" / "runs.md").read_text()
    answers = torch.tensor([0, 1, 1])
    columns = dict.fromkeys(("label", "before", "teacher", "ensemble", "ensemble_mean", "after"), answers)
    missing = [name for name in transfer_figures(columns, ["a", "b"]) if f"`{name}`" not in described]
    assert not missing


def _run_in_two(program: str, arguments: list[str], command: Command, folder: Path) -> None:
    if program == "torchrun":  # itself in `test_two_nodes_equal_one_process`
        alone = [argument for argument in arguments if not argument.startswith("trainer")]
        assert command(*alone).code == 0  # has the models, which the first of forked processes cannot train alone
        assert run_in_ranks([arguments], folder) == [0], (folder / "0.txt").read_text()
        return
    start = [sys.executable, str(REPOSITORY / "run.py")]  # which starts its own command line again
    run = subprocess.run([*start, *arguments, "trainer.progress=false"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def _make_what_it_needs(words: list[str], command: Command) -> None:
    """Make what earlier commands make, unless they have run here; and compose the command with its large models."""
    if any(word.partition("=")[2] in SMALL for word in words):
        assert command("--cfg", "job", *words[2:]).code == 0
    for name in re.findall(r"checkpoint=zoo:(\w+)", " ".join(words)):
        assert command(*_cut(["task=pretrain", "student=test_vit", f"pretrain.name={name}"])).code == 0
    if {"task=report", "task=status"} & set(words) and not list(Path().glob(f"{ONE}/results.json")):
        assert command(*_cut(["seed=1"])).code == 0
    report = Path("runs/report/kl")
    if f"runs={report}/tables/runs.csv" in words and not report.exists():
        assert command("task=report", "runs=runs/transfer/kl*", f"hydra.run.dir={report}").code == 0
    if "recommend.runs=runs/known" in words and not Path("runs/known").exists():
        assert command(*_cut(["data.holdout=0.2", "hydra.run.dir=runs/known/one"])).code == 0


def _cut(arguments: list[str]) -> list[str]:
    """Return the arguments with small models, one epoch, one seed, and no long pretraining."""
    given = {argument.partition("=")[0] for argument in arguments}
    kept = []
    for argument in arguments:
        key, equals, value = SEEDS.get(argument, argument).partition("=")
        small = SMALL.get(value, value) if key in ("student", "teacher") else value
        kept.append(f"{key}{equals}{QUICK.get(key, small)}")
    if "report.wandb" in given:  # which takes seconds for each run
        kept = [argument.replace("runs/**", ONE) for argument in kept]
    return [*kept, *(f"{key}={value}" for key, value in QUICK.items() if key not in given)]


def _check_make_targets(line: str) -> None:
    for part in line.split("&&"):
        dry = subprocess.run(["make", "-n", *shlex.split(part)[1:]], cwd=REPOSITORY, capture_output=True, check=False)
        assert dry.returncode == 0, dry.stderr.decode()


def _write_parquet(file: Path, image_key: str, rows: list[tuple[int, bytes]]) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = pa.array([{"bytes": content, "path": None} for _, content in rows], kind)
    pq.write_table(pa.table({image_key: images, "label": pa.array([label for label, _ in rows], pa.int64())}), file)
