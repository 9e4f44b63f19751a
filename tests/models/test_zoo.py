from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktlight.models.spec import ModelConfig
from ktlight.models.zoo import TrainingShare, Zoo, cache_directory

configs = st.builds(
    ModelConfig,
    name=st.just("any"),
    architecture=st.sampled_from(["test_vit", "test_resnet", "test_vit.r160_in1k"]),
    img_size=st.sampled_from([None, 32, 64]),
    kwargs=st.sampled_from([{}, {"depth": 1}, {"depth": 2}, {"depth": 1, "patch_size": 8}]),
)
entries = st.tuples(
    configs,
    st.sampled_from(["data1", "data2"]),
    st.builds(TrainingShare, st.sampled_from([0.1, 1.0, 0.1234567, 0.1234568]), st.sampled_from([0.0, 0.1])),
)


@given(entries, entries)
def test_entries_share_a_folder_only_if_they_are_the_same(first, second):
    zoo = Zoo(Path("zoo"))
    assert (zoo.folder(*first) == zoo.folder(*second)) == (first == second)


def test_neither_name_nor_checkpoint_nor_order_of_arguments_matters():
    zoo = Zoo(Path("zoo"))
    a = ModelConfig("vit_b", "vit_base_patch16_224", "a.safetensors", kwargs={"depth": 1, "patch_size": 8})
    b = ModelConfig("vit_base_patch16_224", "vit_base_patch16_224", kwargs={"patch_size": 8, "depth": 1})
    assert zoo.folder(a, "data", TrainingShare(1)) == zoo.folder(b, "data", TrainingShare(1.0))


@pytest.mark.parametrize(
    ("trained_on", "wanted", "found"),
    [
        (((1,), (0.1,)), (0.1,), (1,)),
        (((0.1,), (0.5,)), (0.1,), (0.1,)),
        (((0.5,),), (0.1,), None),
        (((0.1,),), (1,), None),
        ((), (1,), None),
        (((1,), (1, 0.1)), (1, 0.1), (1, 0.1)),
        (((1,),), (1, 0.1), None),
        (((1, 0.1),), (1,), None),
    ],
)
def test_the_whole_split_is_preferred_and_other_shares_never_serve(zoo, make, trained_on, wanted, found):
    config = ModelConfig("test_resnet", "test_resnet")
    for share in trained_on:
        zoo.save(make(), config, "data", TrainingShare(*share), record={"share": share})
    wanted = TrainingShare(*wanted)
    folder = zoo.find(config, "data", wanted)
    assert folder == (found and zoo.folder(config, "data", TrainingShare(*found)))
    assert zoo.find(config, "other data", wanted) is None
    assert zoo.find(ModelConfig("test_resnet", "test_resnet", img_size=64), "data", wanted) is None


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("KTLIGHT_CACHE", str(tmp_path))
    assert Zoo().root == tmp_path / "zoo"
    monkeypatch.delenv("KTLIGHT_CACHE")
    assert cache_directory() == Path.home() / ".cache" / "ktlight"
