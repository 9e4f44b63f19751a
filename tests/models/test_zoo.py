import json
import multiprocessing
import time
from pathlib import Path

import pytest

from ktlight.errors import UserError
from ktlight.models.recipe import Recipe, make_recipe
from ktlight.models.spec import ModelConfig
from ktlight.models.zoo import Zoo, cache_directory

RECORD = {"student": "r", "epochs": 2, "seed": 0, "acc": 51.234}


def recipe(seed: int = 0, data: str = "data", architecture: str = "test_resnet") -> Recipe:
    model = ModelConfig("any", architecture)
    return make_recipe(model, identity=data, data={"holdout": 0.0}, training={"seed": seed})


def test_an_entry_is_found_by_its_recipe_alone(zoo, make):
    saved = zoo.save(make(), recipe(), record=RECORD)
    assert zoo.find(recipe()) == saved
    assert saved.folder == zoo.root / "data" / saved.name and saved.name.startswith("test_resnet-")
    assert str(saved) == f"zoo:{saved.name} (2 epochs, seed 0, 51.23%)"
    assert saved.record["recipe"]["training"] == {"seed": 0}
    assert zoo.find(recipe(1)) is None and zoo.find(recipe(data="other")) is None
    assert saved.size > 100_000


def test_nothing_is_overwritten(zoo, make):
    first = zoo.save(make(), recipe(), record=RECORD)
    content = (first.folder / "model.safetensors").read_bytes()
    other = make()
    other.network.fc.bias.data += 1
    assert zoo.save(other, recipe(), record={**RECORD, "acc": 1.0}) == first
    assert (first.folder / "model.safetensors").read_bytes() == content
    second = zoo.save(other, recipe(1), record={**RECORD, "seed": 1})
    assert [entry.folder for entry in zoo.entries("data")] == sorted([first.folder, second.folder])
    assert zoo.of_architecture("test_resnet.r160_in1k", "data") == zoo.entries()
    assert zoo.of_architecture("test_vit", "data") == zoo.of_architecture("test_resnet", "other") == []


def test_names(zoo, make):
    mine = zoo.save(make(), recipe(), record=RECORD)
    zoo.save(make(), recipe(1), record=RECORD)
    assert zoo.give_name(recipe(), "mine").given == ("mine",)
    assert zoo.give_name(recipe(), "again").given == ("again", "mine")
    with pytest.raises(UserError, match=r"pretrain.name=mine is taken by zoo:again.*zoo.action=remove zoo.name=mine"):
        zoo.check_name("mine", recipe(1))
    with pytest.raises(UserError, match=r"pretrain\.name=a/b"):
        zoo.check_name("a/b", recipe())
    zoo.save(make(), recipe(data="other"), record=RECORD)
    zoo.give_name(recipe(data="other"), "mine")
    assert zoo.named("mine", "data").folder == mine.folder == zoo.named(mine.name).folder
    assert zoo.named("mine", "other").folder.parent.name == "other"
    assert zoo.named("again", "third").folder == mine.folder
    with pytest.raises(UserError, match="models of 2 data sets are called mine"):
        zoo.named("mine", "third")
    with pytest.raises(UserError, match=r"no model mone\. Did you mean mine"):
        zoo.named("mone", "data")


def test_removing(zoo, make):
    entry = zoo.save(make(), recipe(), record=RECORD)
    zoo.give_name(recipe(), "mine")
    zoo.remove(entry)
    assert zoo.entries() == []
    zoo.save(make(), recipe(1), record=RECORD)
    assert zoo.give_name(recipe(1), "mine").given == ("mine",)  # the name is free again


def test_folders_of_an_earlier_layout_are_no_entries(zoo):
    old = zoo.root / "data" / "test_resnet-12345678" / "fraction-1.0"
    old.mkdir(parents=True)
    (old / "config.json").write_text("{}")
    assert zoo.entries() == []


def find_or_make(root: Path, log: Path, number: int) -> None:
    """What a run does that needs a model; making it takes a while."""
    from ktlight.models.classifier import Classifier
    from tests.models.test_export import Tied  # any network

    zoo = Zoo(root)
    with zoo.lock(recipe()):
        if not zoo.find(recipe()):
            with log.open("a") as file:
                file.write(f"{number}\n")
            time.sleep(0.3)
            network = Classifier(Tied(), None, name="a", architecture="a", num_classes=6)
            zoo.save(network, recipe(), record={**RECORD, "number": number})


def watch(root: Path, log: Path, stop) -> None:
    """Look for the entry all the time; it is there whole or not at all."""
    seen = []
    while not stop.is_set() or not seen:
        if entry := Zoo(root).find(recipe()):
            assert (entry.folder / "model.safetensors").stat().st_size > 0
            seen.append(entry.record["number"])
    log.write_text(json.dumps(seen[:1] + [number for number in seen if number != seen[0]]))


def test_processes_that_need_one_model_make_it_once(tmp_path):
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    reader = context.Process(target=watch, args=(tmp_path / "zoo", tmp_path / "seen", stop))
    writers = [
        context.Process(target=find_or_make, args=(tmp_path / "zoo", tmp_path / "made", number)) for number in (0, 1)
    ]
    for process in (reader, *writers):
        process.start()
    for process in writers:
        process.join(600)
    stop.set()
    reader.join(600)
    assert [process.exitcode for process in (reader, *writers)] == [0, 0, 0]
    made = (tmp_path / "made").read_text().split()
    assert len(made) == 1
    assert json.loads((tmp_path / "seen").read_text()) == [int(made[0])]


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path))
    assert Zoo().root == tmp_path / "zoo"
    monkeypatch.delenv("KTLIGHT_CACHE")
    assert cache_directory() == Path.home() / ".cache" / "ktlight"
