"""Every bad input: one clear message that says what to do, a non-zero exit status, no traceback, and nothing lost."""

import io
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import timm
import torch
from conftest import REPOSITORY, Command, Outcome, figures
from lightning import Trainer
from PIL import Image
from safetensors.torch import save_file

from ktlight.errors import UserError
from ktlight.methods.distillation import Distillation
from ktlight.report.folder import RunFolder
from ktlight.tasks import transfer
from ktlight.training import checkpoints, trainer

TINY = ("teacher=test_convnext", "student=test_vit", "trainer.max_epochs=1")
EVERY_EPOCH = "trainer.checkpoint_every_seconds=0"


def assert_refused(outcome: Outcome, *parts: str) -> None:
    """Check that a command ended with exactly one message, which has these parts."""
    shown = outcome.out + outcome.err
    assert outcome.code != 0, shown
    assert "Traceback" not in shown and "HYDRA_FULL_ERROR" not in shown, shown
    assert [line[:7] for line in shown.splitlines()].count("error: ") == 1, shown
    message = outcome.err[outcome.err.index("error: ") :]
    for part in parts:
        assert part in message, message


# ---------------------------------------------------------------- what is typed


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        ("teacher=vit_bb", ["unknown model 'vit_bb'", "Did you mean vit_b"]),
        ("student=null", ["unknown model 'null'"]),
        ("method=kl_db", ["unknown method", "Did you mean kl_dp?"]),
        ("data=digitz", ["unknown data", "Did you mean digits?"]),
        ("router=most_confidant", ["unknown router", "Did you mean most_confident"]),
        ("restraint=mlc", ["unknown restraint", "Did you mean mcl?"]),
        ("task=pretrian", ["unknown task", "Did you mean pretrain?"]),
        ("trainer=gpuu", ["unknown trainer", "Did you mean gpu?"]),
        ("seeed=1", ["unknown option 'seeed'", "Did you mean seed"]),
        ("trainer.max_epoch=1", ["unknown option", "Did you mean trainer.max_epochs"]),
        ("method=[kl", ["cannot read 'method=[kl'", "option=value"]),
        ("foo", ["cannot read 'foo'", "option=value"]),
        ("student.kwargs.depth=3", ["+student.kwargs.depth=3"]),
        ("student.img_size=abc", ["student.img_size=abc", "could not be converted to Integer"]),
        ("~student", ["~student", "cannot be taken away"]),
        ("--config-dir=nowhere", ["there is no folder", "nowhere"]),
    ],
)
def test_what_does_not_exist(command: Command, tmp_path: Path, typed: str, parts: list[str]) -> None:
    assert_refused(command(typed), *parts)
    assert list(tmp_path.iterdir()) == []


def test_unknown_experiment(command: Command) -> None:
    assert_refused(command("experiment=dmo"), "unknown experiment 'dmo'", "Did you mean demo?")


@pytest.mark.parametrize(
    ("typed", "must_be"),
    [
        ("optim.lr=abc", "a number, at least 0"),
        ("optim.lr=nan", "a number, at least 0"),
        ("optim.decay=foo", "constant or cosine"),
        ("seed=-1", "a whole number, at least 0 and at most 4294967295"),
        ("seed=1.5", "a whole number"),
        ("resume=abc", "true or false"),
        ("method.temperature=0", "a number, above 0"),
        ("method.mixing=2", "a number, at least 0 and at most 1"),
        ("data.fraction=0", "a number, above 0 and at most 1"),
        ("data.fraction=1.5", "a number, above 0 and at most 1"),
        ("data.batch_size=0", "a whole number, at least 1"),
        ("data.views=0", "a whole number, at least 1, or null"),
        ("data.workers=-1", "a whole number, at least 0, or null"),
        ("trainer.max_epochs=0", "a whole number, at least 1"),
        ("trainer.max_epochs=-1", "a whole number, at least 1"),
        ("trainer.max_epochs=1.5", "a whole number, at least 1, or null"),
        ("trainer.gradient_clip_val=-1", "a number, above 0, or null"),
    ],
)
def test_impossible_values(command: Command, tmp_path: Path, typed: str, must_be: str) -> None:
    assert_refused(command(typed), f"error: {typed} must be {must_be}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("zoo")
@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        ("logger.name=mlflow", ["unknown logger 'mlflow'", "none, tensorboard, wandb"]),
        ("logger.name=wnadb", ["unknown logger 'wnadb'", "Did you mean wandb?"]),
        ("task.name=pretrian", ["unknown task 'pretrian'", "Did you mean pretrain?"]),
        ("task.name=[[]]", ["unknown task '[[]]'"]),
    ],
)
def test_names_that_are_no_choices(command: Command, tmp_path: Path, typed: str, parts: list[str]) -> None:
    assert_refused(command(*TINY, typed, "hydra.run.dir=run"), *parts)
    assert not list(tmp_path.rglob("results.json"))


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["-m", "hydra.sweep.subdir=1,2"], "hydra.sweep.subdir=1,2: Hydra's own options have one value"),
        (["-m", "student.img_size=glob(*)"], "glob() chooses among the files of a config group, and student.img_size"),
        (["hydra.verbose={a:1}"], "must be true, false, or names of loggers"),
        ([f"hydra.searchpath={'x' * 5000}"], "no configs can be looked for in xxx"),
        (["-m", "--cfg", "job"], "give only one of --run, --multirun, --cfg, --info and --shell-completion"),
    ],
)
def test_what_hydra_cannot_do(command: Command, tmp_path: Path, typed: list[str], message: str) -> None:
    assert_refused(command(*typed), message)
    assert list(tmp_path.iterdir()) == []


def test_impossible_tau(command: Command) -> None:
    assert_refused(command("method=kl_mcl", "restraint.tau=2"), "restraint.tau=2 must be a number, at least 0")


def test_folder_that_cannot_be_written(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_refused(command(f"hydra.run.dir={tmp_path}/file/run"), "cannot write in", "hydra.run.dir=FOLDER")
    refused = command("-m", "seed=0,1", f"hydra.sweep.dir={tmp_path}/file/run")
    assert_refused(refused, "cannot write in", "hydra.sweep.dir=FOLDER")


def test_a_folder_with_other_things_is_left_as_it_is(command: Command, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    for more in ([], ["resume=true"]):
        assert_refused(command("hydra.run.dir=.", *more), "holds .git, notes.txt", "hydra.run.dir=FOLDER")
        assert (tmp_path / "notes.txt").read_text() == "mine" and not list(tmp_path.glob("previous-*"))


# ---------------------------------------------------------------- parts that do not fit


@pytest.mark.usefixtures("zoo")
@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        (["method=kdcl", "router=most_confident"], ["router=none"]),
        (["method=kl", "router=none"], ["router=teacher"]),
        (["method=kl", "router=camkd", "router.use_labels=false"], ["router=camkd", "use router=entropy_weights"]),
        (["method=fitnet", "router=average"], ["the mean of several models", "router=most_confident"]),
        (["+router.foo=1"], ["MostConfident", "'foo'", "use_labels"]),
        (["data.fraction=0.001"], ["stratified fraction of 0.001"]),
        (["trainer=gpu"], ["no GPU here", "trainer=cpu"]),
        (["trainer.precision=foo"], ["an option of trainer", "Precision 'foo' is invalid", "bf16-mixed"]),
        (["trainer.devices=abc"], ["an option of trainer", "devices"]),
        (["trainer.compile=foo"], ["trainer.compile=foo", "max-autotune"]),
    ],
)
def test_parts_that_do_not_fit(command: Command, typed: list[str], parts: list[str]) -> None:
    if "trainer=gpu" in typed and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert_refused(command(*TINY, *typed), *parts)


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        ("student.img_size=33", ["test_vit takes no images of 33 x 33 pixels", "change img_size="]),
        ("+student.kwargs.depht=3", ["depht", "Did you mean depth?", "kwargs="]),
    ],
)
def test_impossible_network(command: Command, typed: str, parts: list[str]) -> None:
    assert_refused(command("task=pretrain", "student=test_vit", typed), *parts)


@pytest.mark.usefixtures("zoo")
def test_several_devices_in_a_sweep(command: Command) -> None:
    outcome = command("-m", "seed=0", *TINY, "trainer.devices=2", "trainer.accelerator=cpu")
    assert outcome.code != 0 and "Traceback" not in outcome.err
    assert "launcher=slurm" in outcome.err and "trainer.devices=1" in outcome.err


@pytest.mark.usefixtures("zoo")
def test_other_jobs_of_a_sweep_go_on(command: Command, tmp_path: Path) -> None:
    outcome = command("-m", *TINY, "method=kl", "method.temperature=1,0", f"hydra.sweep.dir={tmp_path}/sweep")
    assert outcome.code != 0 and "Traceback" not in outcome.err
    assert outcome.err.count("error: method.temperature=0 must be a number, above 0") == 1
    listed = outcome.err[outcome.err.index("error: 1 of the 2 jobs failed") :].splitlines()
    assert len(listed) == 2 and "sweep/kl-" in listed[1] and "method.temperature=0 must be" in listed[1]
    assert len(list(tmp_path.glob("sweep/*/results.json"))) == 1
    assert (tmp_path / "sweep" / "comparison.csv").is_file()


# ---------------------------------------------------------------- weights


class Code:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return Path.touch, (Path("ran"),)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of weights, most of them unfit for test_vit on the digits."""
    folder = tmp_path_factory.mktemp("weights")
    ten, seven = (timm.create_model("test_vit", num_classes=classes) for classes in (10, 7))
    save_file(seven.state_dict(), folder / "seven.safetensors")
    save_file(ten.state_dict(), folder / "whole.safetensors")
    torch.save(ten.state_dict(), folder / "whole.pt")
    save_file(timm.create_model("test_resnet", num_classes=10).state_dict(), folder / "resnet.safetensors")
    for kind in ("safetensors", "pt"):
        whole = (folder / f"whole.{kind}").read_bytes()
        (folder / f"cut.{kind}").write_bytes(whole[: len(whole) // 2])
    torch.save({"state_dict": Code()}, folder / "code.pt")
    (folder / "pickle.pt").write_bytes(pickle.dumps(Code()))
    return folder


@pytest.mark.parametrize(
    ("file", "parts"),
    [
        ("whole.safetensor", ["There is no checkpoint at", "Did you mean whole.safetensors"]),
        ("seven.safetensors", ["for 7 classes, but the data has 10", "task=pretrain"]),
        ("cut.safetensors", ["cut.safetensors is truncated", "copy or save it again"]),
        ("cut.pt", ["cut.pt is truncated", "copy or save it again"]),
        ("resnet.safetensors", ["does not hold the weights of test_vit", "missing: ", "unexpected: "]),
        ("code.pt", ["code.pt holds Python objects", "would run code", "safetensors"]),
        ("pickle.pt", ["pickle.pt holds Python objects", "would run code", "safetensors"]),
    ],
)
def test_unfit_weights(command: Command, weights: Path, tmp_path: Path, file: str, parts: list[str]) -> None:
    assert_refused(command("task=evaluate", "student=test_vit", f"student.checkpoint={weights / file}"), *parts)
    assert not (tmp_path / "ran").exists()
    assert not list(tmp_path.rglob("results.json"))


@pytest.mark.usefixtures("zoo")
def test_teacher_of_other_classes(command: Command, weights: Path) -> None:
    refused = command(*TINY, "teacher=test_vit", f"teacher.checkpoint={weights / 'seven.safetensors'}")
    assert_refused(refused, "for 7 classes, but the data has 10")


def test_hub_without_a_network(command: Command) -> None:
    refused = command("task=evaluate", "student=test_vit", "student.checkpoint=hf-hub:timm/test_vit.r160_in1k")
    assert_refused(refused, "could not be fetched from the Hugging Face Hub", "checkpoint=FILE", "task=pretrain")
    assert_refused(command("data=cifar10"), "Cannot get uoft-cs/cifar10", "data.root=<folder>")


def test_corrupt_zoo_entry(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "cache"))
    assert command("task=pretrain", "student=test_vit", "pretrain.epochs=1").code == 0
    (entry,) = tmp_path.glob("cache/zoo/**/model.safetensors")
    entry.write_bytes(entry.read_bytes()[:1000])
    refused = command("task=evaluate", "student=test_vit", "pretrain.epochs=1")
    assert_refused(refused, f"{entry} is truncated", f"zoo.action=remove zoo.name={entry.parent.name}")
    assert entry.stat().st_size == 1000


def test_cache_that_cannot_be_written(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "file" / "cache"))
    assert_refused(command("task=pretrain", "student=test_vit"), "cannot write in", "KTLIGHT_CACHE")


# ---------------------------------------------------------------- images and labels


def png(number: int) -> bytes:
    """Return an image of 32 x 32 pixels of noise."""
    pixels = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def write_parquet(file: Path, labels: list[int], *, corrupt: int | None = None, label_key: str = "label") -> None:
    """Write a parquet file of images with these labels, one of them cut in half."""
    encoded = [png(row)[: 400 if row == corrupt else None] for row in range(len(labels))]
    images = pa.array(
        [{"bytes": each, "path": None} for each in encoded], pa.struct({"bytes": pa.binary(), "path": pa.string()})
    )
    pq.write_table(pa.table({"image": images, label_key: pa.array(labels, pa.int64())}), file)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data sets of two classes in files and folders, most of them with a fault."""
    folder = tmp_path_factory.mktemp("images")
    labels = [0, 1] * 8
    write_parquet(folder / "good.parquet", labels)
    write_parquet(folder / "corrupt.parquet", labels, corrupt=13)
    write_parquet(folder / "empty.parquet", [])
    write_parquet(folder / "range.parquet", [*labels, 5])
    write_parquet(folder / "negative.parquet", [*labels, -1])
    write_parquet(folder / "renamed.parquet", labels, label_key="klass")
    (folder / "cut.parquet").write_bytes((folder / "good.parquet").read_bytes()[:500])
    for split in ("train", "val"):
        for row, label in enumerate(labels):
            file = folder / "folders" / split / f"class{label}" / f"{row}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png(row))
    (folder / "folders" / "train" / "class1" / "7.png").write_bytes(b"no image")
    (folder / "hollow" / "val" / "class0").mkdir(parents=True)
    save_file(timm.create_model("test_vit", num_classes=2).state_dict(), folder / "two.safetensors")
    return folder


@pytest.mark.parametrize(
    ("train", "val", "options", "parts"),
    [
        ("corrupt", "good", [], ["row 13 of", "corrupt.parquet", "Replace or remove them"]),
        ("corrupt", "good", ["data.augment.kind=resized_crop", "data.workers=2"], ["row 13 of", "corrupt.parquet"]),
        ("good", "corrupt", [], ["row 13 of", "corrupt.parquet"]),
        ("empty", "good", [], ["no rows in", "empty.parquet"]),
        ("good", "empty", [], ["no rows in", "empty.parquet"]),
        ("good", "range", ["data.num_classes=2"], ["Row 16 of the validation split", "label 5", "from 0 to 1"]),
        ("negative", "good", [], ["Row 16 of the training split", "label -1"]),
        ("renamed", "good", ["data.label_key=label"], ["no column 'label'", "klass (int64)", "data.label_key="]),
        ("good", "good", ["data.image_key=img"], ["no column 'img'", "image (images)", "data.image_key="]),
        ("cut", "good", [], ["Cannot read", "cut.parquet"]),
        ("gone", "good", [], ["No file", "gone.parquet"]),
    ],
)
def test_unfit_parquet(
    command: Command, images: Path, train: str, val: str, options: list[str], parts: list[str]
) -> None:
    files = [f"data.train={images}/{train}.parquet", f"data.val={images}/{val}.parquet"]
    assert_refused(command("task=pretrain", "student=test_vit", "data=parquet", *files, *options), *parts)


@pytest.mark.usefixtures("zoo")
def test_dist_with_a_batch_of_one(command: Command, tmp_path: Path) -> None:
    refused = command(*TINY, "method=dist", "data.batch_size=1")
    assert_refused(refused, "method=dist relates the samples of a batch to each other", "use data.batch_size=2 or more")
    assert not list(tmp_path.rglob("results.json"))
    ended = command(
        *TINY, "method=dist", "data.batch_size=359", "trainer.max_epochs=1"
    )  # of 360: the last batch is one
    assert ended.code == 0, ended.err


@pytest.mark.parametrize("workers", [0, 2])
def test_corrupt_image_in_evaluation(command: Command, images: Path, tmp_path: Path, workers: int) -> None:
    weights = ["student=test_vit", f"student.checkpoint={images}/two.safetensors"]
    data = ["data=parquet", f"data.val={images}/corrupt.parquet", f"data.workers={workers}"]
    assert_refused(command("task=evaluate", *weights, *data), "row 13 of", "corrupt.parquet", "Replace or remove them")
    assert not list(tmp_path.rglob("predictions.parquet"))


def test_corrupt_images_left_out_on_purpose(command: Command, images: Path) -> None:
    weights = ["student=test_vit", f"student.checkpoint={images}/two.safetensors"]
    outcome = command(
        "task=evaluate", *weights, "data=parquet", f"data.val={images}/corrupt.parquet", "data.skip_corrupt=true"
    )
    assert outcome.code == 0 and "of 15 samples" in outcome.out
    assert "1 of 16 images of" in outcome.out + outcome.err and "are left out: row 13 of" in outcome.out + outcome.err


def test_file_names_with_brackets(command: Command, images: Path, tmp_path: Path) -> None:
    (tmp_path / "set[1]").mkdir()
    (tmp_path / "set[1]" / "a b.parquet").write_bytes((images / "good.parquet").read_bytes())
    weights = ["student=test_vit", f"student.checkpoint={images}/two.safetensors"]
    outcome = command("task=evaluate", *weights, "data=parquet", "data.val='set[1]/a b.parquet'")
    assert outcome.code == 0 and "of 16 samples" in outcome.out


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        ("nowhere.json", ["Cannot read data.class_names=nowhere.json"]),
        ("short.txt", ["data.class_names=short.txt names 1 classes, but digits has 10"]),
    ],
)
def test_class_names_that_do_not_fit(command: Command, tmp_path: Path, names: str, parts: list[str]) -> None:
    (tmp_path / "short.txt").write_text("zero")
    assert_refused(command("task=evaluate", f"data.class_names={names}"), *parts)


@pytest.mark.parametrize("workers", [0, 2])
def test_corrupt_image_in_a_folder(command: Command, images: Path, workers: int) -> None:
    data = ["data=imagefolder", f"data.root={images}/folders", f"data.workers={workers}"]
    file = images / "folders" / "train" / "class1" / "7.png"
    assert_refused(command("task=pretrain", "student=test_vit", *data), str(file), "Replace or remove them")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["data=imagefolder"], ["needs data.root="]),
        (["data=imagefolder", "data.root=nowhere"], ["No folder 'nowhere/val'"]),
        (["data=imagefolder", "data.root=IMAGES/hollow"], ["class0 holds no image"]),
        (["data=cifar10", "data.root=nowhere"], ["No file 'nowhere/*train*.parquet'", "data.root="]),
        (["data=parquet"], ["give data.val="]),
        (["data=parquet", "data.val=IMAGES/good.parquet"], ["no training split", "data.train="]),
    ],
)
def test_missing_data(command: Command, images: Path, options: list[str], parts: list[str]) -> None:
    options = [option.replace("IMAGES", str(images)) for option in options]
    assert_refused(command("task=pretrain", "student=test_vit", *options), *parts)


# ---------------------------------------------------------------- runs that end early


@pytest.mark.usefixtures("zoo")
def test_divergence_keeps_the_last_good_checkpoint(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = Distillation.terms

    def terms_until_nan(self: Distillation, *arguments: object) -> dict[str, torch.Tensor]:
        scale = float("nan") if self.global_step >= 8 else 1.0  # the second epoch: six steps of 64 images in each
        return {name: scale * term for name, term in terms(self, *arguments).items()}  # type: ignore[arg-type]

    monkeypatch.setattr(Distillation, "terms", terms_until_nan)
    refused = command(*TINY, "trainer.max_epochs=3", EVERY_EPOCH, f"hydra.run.dir={tmp_path}/run")
    assert_refused(refused, "not finite at optimiser step 8", "Earlier checkpoints are kept", "optim.lr")
    kept = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert kept["global_step"] == 6
    assert all(bool(value.isfinite().all()) for value in kept["state_dict"].values())
    assert not (tmp_path / "run" / "results.json").exists()


@pytest.mark.usefixtures("zoo")
def test_resume_with_another_config(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise UserError("stopped by the test")

    with monkeypatch.context() as patch:
        patch.setattr(transfer, "export_classifier", stop)
        assert command(*TINY, EVERY_EPOCH, f"hydra.run.dir={tmp_path}/run").code != 0
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    before = checkpoint.read_bytes()
    refused = command(*TINY, f"hydra.run.dir={tmp_path}/run", "resume=true", "optim.lr=0.001")
    assert_refused(refused, "another config", "lr: 0.001", "resume=false")
    assert checkpoint.read_bytes() == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system can be mounted only by root, outside a container")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Write until the disk is full."""
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


@pytest.fixture(scope="module")
def undisturbed(zoo: None, run_in: Callable[..., Path]) -> dict[str, object]:
    """Results of a run that nothing stops."""
    folder = run_in("undisturbed", *TINY, "trainer.max_epochs=2")
    return figures(folder)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (checkpoints.WholeCheckpoints, "save_checkpoint"),
        (RunFolder, "write_predictions"),
        (transfer, "export_classifier"),
        (RunFolder, "write_results"),
    ],
)
def test_full_disk(
    command: Command,
    undisturbed: dict[str, object],
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    name: str,
) -> None:
    folder = small_disk / "run"
    checkpoint = folder / "checkpoints" / "last.ckpt"
    write = getattr(owner, name)

    def write_on_a_full_disk(*arguments: object, **options: object) -> object:
        if checkpoint.exists():
            fill(small_disk)
        return write(*arguments, **options)

    run = [*TINY, "trainer.max_epochs=2", EVERY_EPOCH, f"hydra.run.dir={folder}"]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, write_on_a_full_disk)
        assert_refused(command(*run), "pace", str(folder))
    assert not (folder / "results.json").exists()
    assert [
        path.name for path in folder.rglob(".*") if path.name not in (".hydra", ".lock")
    ] == []  # no temporary files
    torch.load(checkpoint, weights_only=True)
    assert_refused(command(*run, "resume=true"), "cannot write in", "No space left on device")
    (small_disk / "filler").unlink()
    assert command(*run, "resume=true").code == 0
    assert figures(folder) == undisturbed


@pytest.mark.parametrize("epoch", [0, 1])
def test_interrupted_by_the_user(
    epoch: int, command: Command, undisturbed: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: object, fitting: Trainer, _: object) -> None:
        if fitting.current_epoch == epoch:
            os.kill(os.getpid(), signal.SIGINT)

    run = [*TINY, "trainer.max_epochs=2", EVERY_EPOCH, "hydra.run.dir=run"]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever an earlier test has left
    with monkeypatch.context() as patch:
        patch.setattr(trainer.EpochSeed, "on_train_epoch_start", interrupt)
        stopped = command(*run)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Lightning ignores it from now on
    assert stopped.code == 130 and "Traceback" not in stopped.out + stopped.err, stopped.out + stopped.err
    (said,) = (line for line in stopped.err.splitlines() if line.startswith("interrupted"))
    assert "trainer.max_epochs=2" in said
    if epoch:
        assert said.startswith("interrupted: 1 whole epoch kept. Continue with: python run.py")
        assert said.endswith("resume=true")
        assert (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()
    else:
        assert "before the first checkpoint: there is nothing to continue. Start again with: python run.py" in said
        assert "resume" not in said and not list((tmp_path / "run").rglob("last.ckpt"))
    assert command(*run, "resume=true").code == 0
    assert figures(tmp_path / "run") == undisturbed


def test_a_second_process_in_one_folder(command: Command, tmp_path: Path) -> None:
    hold = "import sys, time\nfrom pathlib import Path\nfrom ktlight.report.owned import locked\n"
    hold += "with locked(Path('run')):\n    print('held', flush=True)\n    time.sleep(60)"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        [sys.executable, "-c", hold], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        for more in ([], ["resume=true"]):
            refused = command(*TINY, "hydra.run.dir=run", *more)
            assert_refused(refused, "another process is running in", "wait for it or stop it")
        assert {path.name for path in (tmp_path / "run").iterdir()} == {".lock"}
        other.kill()
    assert command(*TINY, "hydra.run.dir=run").code == 0  # the lock has gone with its process
