import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktlight.errors import UserError
from ktlight.models.recipe import Recipe, file_digest, initial_weights, make_recipe
from ktlight.models.spec import ModelConfig

models = st.builds(
    ModelConfig,
    name=st.just("any"),
    architecture=st.sampled_from(["test_vit", "test_resnet", "test_vit.r160_in1k"]),
    img_size=st.sampled_from([None, 32, 64]),
    crop_pct=st.sampled_from([None, 0.9]),
    interpolation=st.sampled_from([None, "bilinear"]),
    mean=st.sampled_from([None, 0.5, [0.5, 0.4, 0.3]]),
    kwargs=st.sampled_from([{}, {"depth": 1}, {"depth": 2}, {"depth": 1, "patch_size": 8}]),
)
options = st.fixed_dictionaries(
    {
        "epochs": st.integers(1, 3),
        "seed": st.integers(0, 2),
        "batch_size": st.sampled_from([32, 64]),
        "views": st.sampled_from([None, 1, 4]),
        "augment": st.sampled_from([{"kind": "none"}, {"kind": "pad_crop", "padding": 0.125}]),
        "optim": st.fixed_dictionaries({"lr": st.sampled_from([1e-3, 2e-3]), "decay": st.just("cosine")}),
        "precision": st.sampled_from(["32-true", "bf16-mixed"]),
        "gradient_clip_val": st.sampled_from([None, 1.0]),
        "accumulate_grad_batches": st.sampled_from([1, 2]),
        "processes": st.sampled_from([1, 2]),
    }
)
rows = st.fixed_dictionaries(
    {
        "fraction": st.sampled_from([1.0, 0.1234567, 0.1234568]),
        "holdout": st.sampled_from([0.0, 0.1]),
        "canvas": st.sampled_from([None, 32]),
    }
)
ingredients = st.tuples(models, st.sampled_from(["data1", "data2"]), rows, options, st.sampled_from(["scratch", "a"]))


def recipe(model=None, identity="data", data=None, training=None, start="scratch") -> Recipe:
    model = model or ModelConfig("any", "test_vit")
    return make_recipe(model, identity=identity, data=data or {}, training=training or {}, start=start)


@given(ingredients, ingredients)
def test_recipes_share_a_name_only_if_every_ingredient_is_the_same(first, second):
    one, other = recipe(*first), recipe(*second)
    assert ((one.data_identity, one.name) == (other.data_identity, other.name)) == (first == second)


@given(ingredients, st.data())
def test_any_ingredient_changes_the_name(first, data):
    second = list(first)
    position = data.draw(st.integers(0, len(first) - 1))
    kinds = (models, st.sampled_from(["data1", "data2"]), rows, options, st.sampled_from(["scratch", "a"]))
    second[position] = data.draw(kinds[position].filter(lambda value: value != first[position]))
    assert recipe(*first).name != recipe(*second).name


def shuffled(value, order):
    if not isinstance(value, dict):
        return value
    return {key: shuffled(value[key], order) for key in sorted(value, key=lambda key: hash((key, order)))}


@given(ingredients, st.integers())
def test_neither_order_nor_the_users_name_nor_the_kind_of_a_number_matters(first, order):
    model, identity, data, training, start = first
    called = ModelConfig("x", model.architecture, "f.pt", *(getattr(model, key) for key in ("img_size", "crop_pct")))
    called.interpolation, called.kwargs = model.interpolation, shuffled(model.kwargs, order)
    called.mean = [model.mean] * 3 if isinstance(model.mean, float) else model.mean
    numbers = {key: float(value) if key in ("epochs", "seed") else value for key, value in training.items()}
    again = recipe(called, identity, shuffled(data, order), shuffled(numbers, order), start)
    assert again.name == recipe(*first).name


def test_a_recipe_is_the_same_after_a_round_trip_through_json():
    one = recipe(ModelConfig("v", "test_vit", img_size=64), training={"epochs": 3, "augment": {"scale": (0.5, 1)}})
    again = json.loads(json.dumps({"model": one.model, "data": one.data, "training": one.training}))
    assert Recipe(**again).name == one.name


def test_initial_weights_are_known_by_content(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"1")
    (tmp_path / "b.safetensors").write_bytes(b"1")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "model.safetensors").write_bytes(b"2")

    def start(checkpoint, init="scratch"):
        return initial_weights(ModelConfig("v", "test_vit", checkpoint and str(checkpoint)), init)

    assert start(tmp_path / "a.safetensors") == start(tmp_path / "b.safetensors", "hub")
    (tmp_path / "folder" / "config.json").write_text("{}")
    before = start(tmp_path / "folder")
    assert before.startswith(file_digest(tmp_path / "folder" / "model.safetensors"))
    (tmp_path / "folder" / "config.json").write_text('{"label_names": ["b", "a"]}')
    assert start(tmp_path / "folder") != before != start(tmp_path / "a.safetensors")
    assert (start(None), start(None, "hub")) == ("scratch", "hub:test_vit")
    assert start("hf-hub:a/b") == "hf-hub:a/b"
    with pytest.raises(UserError, match="no checkpoint at"):
        start(tmp_path / "c.safetensors")


@pytest.mark.parametrize("record", ["config.json", "preprocessor_config.json", "processor_config.json"])
def test_initial_weights_are_known_by_how_images_are_prepared_for_them(tmp_path, record):
    model = ModelConfig(name="test_vit", architecture="test_vit", checkpoint=str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    seen = set()
    for content in (None, "{}", '{"image_mean": [0.5]}'):
        if content is not None:
            (tmp_path / record).write_text(content)
        seen.add(initial_weights(model, "scratch"))
    assert len(seen) == 3
