"""Models in other classes than the data's, through whole commands."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import timm
from conftest import Command
from omegaconf import OmegaConf
from pandas.testing import assert_frame_equal
from safetensors.torch import load_file, save_file

from ktlight.publication.discovery.tables import discovery_tables
from ktlight.publication.run.record import read_run
from ktlight.publication.run.tables import run_tables
from ktlight.report.discovery import read_discovery

SWAPPED = "model_class,class\n" + "".join(f"{number},{9 - number}\n" for number in range(10))
QUICK = ("method=kl", "student=test_vit", "teacher=test_convnext", "trainer.max_epochs=1")


def results(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(folder, "results.json").read_text())
    return found


@pytest.fixture
def backwards(zoo: dict[str, Path], tmp_path: Path) -> str:
    """A model of the digits from 9 to 0 in a bare file, and ``map.csv``, which says so."""
    state = load_file(zoo["test_convnext"] / "model.safetensors")
    for name in ("head.fc.weight", "head.fc.bias"):
        state[name] = state[name].flip(0).contiguous()
    save_file(state, tmp_path / "backwards.safetensors")
    (tmp_path / "map.csv").write_text(SWAPPED)
    return "backwards.safetensors"


def test_a_teacher_is_mapped_by_a_file_as_if_it_had_the_data_s_classes(
    backwards: str, zoo: dict[str, Path], command: Command, tmp_path: Path
) -> None:
    size = "teacher.img_size=32"
    mapped = (f"teacher.checkpoint={backwards}", "teacher.label_map=map.csv", "teacher.labels=file")
    said = {}
    for name, options in (("mapped", mapped), ("straight", (f"teacher.checkpoint={zoo['test_convnext']}",))):
        ended = command(*QUICK, size, *options, "teacher.crop_pct=1", f"hydra.run.dir={name}")
        assert ended.code == 0, ended.err
        said[name] = ended.out + ended.err
    assert "the teacher  10 classes -> 10 of the data by file (10 covered)" in said["mapped"]
    assert "test_convnext, checkpoint: backwards.safetensors; 10 classes -> 10 of the data by file" in said["mapped"]
    predictions = [pq.read_table(tmp_path / name / "predictions.parquet").to_pandas() for name in said]
    assert_frame_equal(*predictions, rtol=1e-4)  # some CPUs round a class by its place among the head's rows
    labels = results("mapped")["models"]["teacher"]["labels"]
    assert (labels["how"], labels["covered"], labels["missing"], labels["sliced"]) == ("file", 10, [], False)
    assert results("straight")["models"]["teacher"]["labels"] == {"how": "same", "sliced": False}
    identity = OmegaConf.load("mapped/config.yaml").identity
    assert identity.labels_teacher == labels["identity"]
    tables = {name: run_tables(read_run(tmp_path / name))["Models"] for name in said}
    (shown,) = [column.cells for column in tables["mapped"] if column.heading == "Classes"]
    assert shown == ["", "10 classes -> 10 of the data by file (10 covered)"]
    assert "Classes" not in [column.heading for column in tables["straight"]]


def test_a_student_is_sliced_and_says_which_classes_it_lacks(
    backwards: str, zoo: dict[str, Path], command: Command
) -> None:
    options = ("task=evaluate", "student=test_convnext", f"student.checkpoint={backwards}", "student.img_size=32")
    own = ("student.label_map=map.csv", "student.crop_pct=1")
    whole = command(*options, *own, "hydra.run.dir=whole")
    assert whole.code == 0 and "classes head of 10 classes -> 10 of the data by file (10 covered)" in whole.out
    assert results("whole")["acc"] == json.loads((zoo["test_convnext"].parent / "results.json").read_text())["acc"]
    Path("map.csv").write_text(SWAPPED.replace("1,8\n", ""))
    lacking = command(*options, *own, "hydra.run.dir=lacking")
    assert "has no class for 1 of the data's (8): their rows start at the mean of all" in lacking.out + lacking.err
    labels = results("lacking")["models"]["student"]["labels"]
    assert (labels["covered"], labels["missing"], labels["sliced"]) == (9, ["8"], True)


def test_a_discovery_shows_how_classes_were_mapped(backwards: str, zoo: dict[str, Path], command: Command) -> None:
    mapped = f"{{name: test_convnext, checkpoint: {backwards}, label_map: map.csv, img_size: 32, crop_pct: 1}}"
    ended = command("task=discover", f"models=[test_vit,{mapped}]", "hydra.run.dir=found", "page.images=false")
    assert ended.code == 0, ended.err
    models = pq.read_table("found/models.parquet").to_pylist()
    assert [row["labels"] for row in models] == [None, "10 classes -> 10 of the data by file (10 covered)"]
    (shown,) = [
        column for column in discovery_tables(read_discovery(Path("found")))["Models"] if column.name == "labels"
    ]
    assert (shown.heading, shown.cells) == ("Classes", [row["labels"] for row in models])
    assert "teacher.label_map=map.csv" in ended.out or "student.label_map=map.csv" in ended.out  # the next step


def test_imagenet_weights_on_classes_without_names_are_refused_with_the_ways_out(
    command: Command, tmp_path: Path
) -> None:
    save_file(timm.create_model("test_resnet", num_classes=21843).state_dict(), tmp_path / "big.safetensors")
    ended = command("task=evaluate", "student=test_resnet", "student.checkpoint=big.safetensors")
    assert ended.code == 1
    assert "for 21843 classes, taken for imagenet-21k-goog, but the data has 10" in ended.err
    assert "label_map=FILE.csv" in ended.err and "data.class_names=FILE" in ended.err


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("labels=synsets", "labels=synsets must be auto or same or synset or names or file or learned"),
        ("student.labels=nams", "student.labels=nams must be auto or same"),
        ("student.labels=file", "test_vit: labels=file needs the file: label_map=FILE.csv"),
        ("student.label_map=nowhere.csv", "Cannot read label_map=nowhere.csv"),
        ("teachers=[{name: test_vit, labels: nmes}]", "labels=nmes must be one of auto, same"),
    ],
)
def test_options_that_cannot_be(
    typed: str, message: str, zoo: dict[str, Path], command: Command, tmp_path: Path
) -> None:
    ended = command("student=test_vit", f"student.checkpoint={zoo['test_vit']}", typed)
    assert ended.code == 1 and message in ended.err


def test_a_map_beside_a_rung_is_refused(command: Command) -> None:
    ended = command("task=evaluate", "student=test_vit", "student.label_map=map.csv", "labels=synset")
    assert ended.code == 1 and "label_map=map.csv has no meaning with labels=synset: leave one out" in ended.err


def test_an_imagenet_model_answers_in_tiny_imagenet_s_classes(shared: Path, command: Command, tmp_path: Path) -> None:
    """Without any training; on all 5,000 images it is 51.74%."""
    data = shared / "data" / "tinyimagenet100"
    table = pq.read_table(data / "tinyimagenet100-val.parquet")
    stream = io.BytesIO()
    pq.write_table(table.take(pa.array(range(0, 5000, 25))), stream)
    (tmp_path / "few.parquet").write_bytes(stream.getvalue())
    ended = command(
        "task=evaluate", "student=tf_efficientnet_lite0", "student.img_size=96", "data=parquet", "data.val=few.parquet",
        f"student.checkpoint={shared}/zoo/imagenet/tf_efficientnet_lite0.safetensors",
        f"data.class_names={data}/classes.json", "hydra.run.dir=run",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "head of 1000 classes, taken for imagenet-1k, -> 100 of the data by synset (100 covered)" in ended.out
    assert 40 < results("run")["acc"] < 65


def test_advice_learns_from_runs_whose_teachers_were_mapped_as_they_are_now(backwards: str, command: Command) -> None:
    held_out = ("student=test_vit", "data.holdout=0.2")
    given = (
        f"teacher.checkpoint={backwards}",
        "teacher.label_map=map.csv",
        "teacher.img_size=32",
        "teacher.crop_pct=1",
    )
    learned = command("teacher=test_convnext", "trainer.max_epochs=1", *held_out, *given, "hydra.run.dir=done")
    assert learned.code == 0, learned.err
    other = f"models=[{{name: test_convnext, checkpoint: {backwards}, label_map: map.csv, img_size: 32}}]"  # crop 0.875
    ask = ("task=recommend", *held_out, other, "methods=[kl_dp]", "recommend.steps=2", "recommend.runs=done")
    for folder, count in (("known", 1), ("changed", 0)):
        ended = command(*ask, f"hydra.run.dir={folder}")
        assert ended.code == 0, ended.err
        assert results(folder)["finished_runs"] == count
        Path("map.csv").write_text(SWAPPED.replace("0,9", "0,8").replace("1,8", "1,9"))
    assert "the classes of test_convnext were mapped in another way" in ended.out + ended.err


def test_advice_learns_from_runs_whose_teachers_classes_were_learned(backwards: str, command: Command) -> None:
    held_out = ("student=test_vit", "data.holdout=0.2")
    given = (f"teacher.checkpoint={backwards}", "teacher.labels=learned", "teacher.img_size=32", "teacher.crop_pct=1")
    done = command("teacher=test_convnext", "trainer.max_epochs=1", *held_out, *given, "hydra.run.dir=done")
    assert done.code == 0, done.err
    ask = ("task=recommend", *held_out, "models=[test_resnet]", "methods=[kl_dp]", "recommend.steps=2")
    ended = command(*ask, "recommend.runs=done", "hydra.run.dir=advice")
    assert ended.code == 0, ended.err
    assert results("advice")["finished_runs"] == 1, ended.out + ended.err


def test_pretraining_starts_from_the_sliced_head(backwards: str, zoo: dict[str, Path], command: Command) -> None:
    options = ("task=pretrain", "student=test_convnext", f"student.checkpoint={backwards}", "student.img_size=32")
    still = ("student.crop_pct=1", "student.label_map=map.csv", "pretrain.epochs=1", "pretrain.optim.lr=0")
    names = set()
    for folder, text in (("all", SWAPPED), ("most", SWAPPED.replace("1,8\n", ""))):
        Path("map.csv").write_text(text)
        ended = command(*options, *still, f"hydra.run.dir={folder}")
        assert ended.code == 0, ended.err
        assert (
            "start: test_convnext, checkpoint: backwards.safetensors; head of 10 classes -> 10 of the data" in ended.out
        )
        names.add(ended.out.partition("student.checkpoint=zoo:")[2].split()[0])
    trained = json.loads((zoo["test_convnext"].parent / "results.json").read_text())
    assert results("all")["acc"] == trained["acc"] and results("most")["models"]["student"]["labels"]["missing"] == [
        "8"
    ]
    assert len(names) == 2  # what the map says is part of the recipe
