import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ktlight.errors import UserError
from ktlight.models.checkpoint import find_checkpoint, load_weights, read_folder_config, read_state_dict


@pytest.fixture
def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def weights(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: torch.rand_like(value, dtype=torch.float32) for name, value in network.state_dict().items()}


def assert_loaded(network, expected):
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, expected[name].to(value.dtype))


def test_safetensors(network, tmp_path):
    save_file(expected := weights(network), tmp_path / "a.safetensors")
    load_weights(network, tmp_path / "a.safetensors")
    assert_loaded(network, expected)


@pytest.mark.parametrize("suffix", ["pt", "pth", "bin", "ckpt"])
@pytest.mark.parametrize("key", [None, "state_dict", "model", "model_state_dict"])
def test_pickled_weights_bare_or_nested(network, tmp_path, suffix, key):
    expected = weights(network)
    path = tmp_path / f"a.{suffix}"
    torch.save({key: expected, "epoch": 3} if key else expected, path)
    load_weights(network, path)
    assert_loaded(network, expected)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_prefixes_of_wrappers_are_dropped(network, tmp_path, prefix):
    expected = weights(network)
    torch.save({prefix + name: value for name, value in expected.items()}, tmp_path / "a.pt")
    load_weights(network, tmp_path / "a.pt")
    assert_loaded(network, expected)


def test_half_precision_weights_are_read_as_the_networks_type(network, tmp_path):
    save_file({name: value.half() for name, value in weights(network).items()}, tmp_path / "a.safetensors")
    load_weights(network, tmp_path / "a.safetensors")
    assert network[0].weight.dtype == torch.float32


def test_a_missing_file_names_its_neighbour(tmp_path):
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(UserError, match=r"no checkpoint at .*modle\.safetensors\. Did you mean model\.safetensors"):
        find_checkpoint(str(tmp_path / "modle.safetensors"))
    with pytest.raises(UserError, match="no checkpoint"):
        find_checkpoint(str(tmp_path / "nowhere" / "model.safetensors"))


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@pytest.mark.parametrize("keep", [0, 7, 200, -10])
def test_a_truncated_file(network, tmp_path, suffix, keep):
    path = tmp_path / f"a.{suffix}"
    save_file(weights(network), path) if suffix == "safetensors" else torch.save(weights(network), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=rf"a\.{suffix} is truncated or not a"):
        read_state_dict(path)


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "a.pt").write_text("not weights")
    (tmp_path / "a.onnx").write_text("not weights")
    with pytest.raises(UserError, match="truncated or not"):
        read_state_dict(tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"neither \.safetensors nor"):
        read_state_dict(tmp_path / "a.onnx")


class Payload:
    def __reduce__(self):
        return (open, ("ran", "w"))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, monkeypatch, zipped):
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": torch.zeros(1), "evil": Payload()}, "a.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match="run code"):
        read_state_dict(tmp_path / "a.pt")
    assert not (tmp_path / "ran").exists()


def test_a_plain_pickle_and_a_whole_module_are_refused(network, tmp_path):
    (tmp_path / "a.pt").write_bytes(pickle.dumps(Payload()))
    torch.save(network, tmp_path / "b.pt")
    for name in ("a.pt", "b.pt"):
        with pytest.raises(UserError, match="run code"):
            read_state_dict(tmp_path / name)


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 3}, {"state_dict": {"a": 1}}])
def test_a_file_without_weights(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(UserError, match="state dict"):
        read_state_dict(tmp_path / "a.pt")


def test_weights_of_another_network(network, tmp_path):
    state = weights(network)
    state["0.weight"] = torch.zeros(9, 3, 3, 3)
    state["9.weight"] = state.pop("1.bias")
    before = network[0].weight.clone()
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(UserError, match=r"missing: 1\.bias; unexpected: 9\.weight; of another shape: 0\.weight"):
        load_weights(network, tmp_path / "a.safetensors")
    torch.testing.assert_close(network[0].weight, before)


def test_only_the_first_differences_are_named(network, tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(UserError, match=r"missing: 0\.bias, 0\.weight, 1\.bias and 4 more; unexpected: x\."):
        load_weights(network, tmp_path / "a.safetensors")


def test_a_folder_that_is_none_of_timms(tmp_path):
    with pytest.raises(UserError, match=r"no config\.json"):
        read_folder_config(tmp_path)
    with pytest.raises(UserError, match=r"neither model\.safetensors nor"):
        read_state_dict(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        read_folder_config(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="no architecture"):
        read_folder_config(tmp_path)
