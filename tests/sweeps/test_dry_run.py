"""What a sweep would take is said without writing anything, and is what it then takes."""

import re
from pathlib import Path

import pytest
from conftest import Command

PAIRS = (
    "experiment=sweep/pairs", "students=[test_vit,test_efficientnet]", "teachers=[test_resnet]", "methods=[kl,kl_dp]",
    "data.views=2", "pretrain.epochs=1", "trainer.max_epochs=2", "hydra.sweep.dir=sweep",
)  # fmt: skip


def test_a_dry_run(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")
    before = command(*PAIRS, "dry_run=true")
    assert before.code == 0, before.err
    assert "4 runs in sweep: 4 not begun; 4 to do, after preparing 3 of their models" in before.out
    assert "3 of 3 are to be trained first: test_vit, test_resnet, test_efficientnet" in before.out
    assert "9 of 9 entries are missing" in before.out and re.search(r"\d+ (s|min) of computing", before.out)
    assert not (tmp_path / "sweep").exists() and not (tmp_path / "cache").exists()
    said = float(re.search(r"missing: ([\d.e-]+) GB", before.out)[1])  # type: ignore[index]

    assert command(*PAIRS).code == 0
    stored = sum(file.stat().st_size for file in (tmp_path / "cache" / "store").glob("*/logits.bin"))
    assert stored / 1e9 == pytest.approx(said, rel=0.05)
    after = command(*PAIRS, "dry_run=true")
    assert after.code == 0 and "4 done; 0 to do" in after.out and "models" not in after.out
    more = command(*PAIRS, "seeds=[0,1]", "pretrain.seed=0", "dry_run=true")
    assert "all 3 are there" in more.out and "6 of 9 entries are missing" in more.out


def test_a_dry_run_of_any_sweep_and_of_no_single_run(zoo: dict[str, Path], command: Command, tmp_path: Path) -> None:
    typed = ("-m", "method=kl,kdcl,ensemble", "hydra.sweep.dir=sweep", "dry_run=true")
    ended = command(*typed)
    assert ended.code == 0 and "3 runs in sweep: 3 not begun; 3 to do" in ended.out and "all 2 are there" in ended.out
    assert not (tmp_path / "sweep").exists()
    other = command("-m", "task=evaluate", "seed=0,1", "hydra.sweep.dir=sweep", "dry_run=true")
    assert other.code == 0 and "2 to do" in other.out and "hours" not in other.out
    single = command("dry_run=true")
    assert single.code == 1 and "add -m" in single.err and not (tmp_path / "runs").exists()


def test_a_dry_run_with_a_student_of_other_classes(
    zoo: dict[str, Path], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "map.csv").write_text("model_class,class\n" + "".join(f"{place},{9 - place}\n" for place in range(10)))
    model = f"{{name: test_convnext, checkpoint: {zoo['test_convnext']}, label_map: map.csv}}"
    pairs = ("experiment=sweep/pairs", "methods=[kl]", "seeds=[0]", "trainer.max_epochs=1", "hydra.sweep.dir=sweep")
    for students, teachers, models in (("test_vit", model, 2), (model, "test_vit", 2)):
        ended = command(*pairs, f"students=[{students}]", f"teachers=[{teachers}]", "dry_run=true")
        assert ended.code == 0, ended.err
        assert f"models  all {models} are there" in ended.out and "1 to do" in ended.out
