"""BatchNorm over all processes: the layers of timm keep their activation, and nothing but the statistics changes."""

import copy

import pytest
import timm
import torch
from tiny import config
from torch import nn

from ktlight.errors import UserError
from ktlight.models.synchronization import synchronized
from ktlight.training.trainer import build_trainer

NAMES = ["test_resnet", "test_efficientnet", "test_efficientnet_evos", "mobilenetv3_small_050"]


@pytest.mark.parametrize("name", NAMES)
def test_outputs_and_names_stay(name: str) -> None:
    network = timm.create_model(name, num_classes=4)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_()
                layer.running_var.uniform_(0.5, 2)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    before, layers = copy.deepcopy(network).eval(), list(network.modules())
    expected = before(images)
    with synchronized([network]):
        found = [layer for layer in network.modules() if isinstance(layer, nn.SyncBatchNorm)]
        assert len(found) == sum(isinstance(layer, nn.BatchNorm2d) for layer in layers)
        assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
        assert torch.equal(network.eval()(images), expected)
        assert network.state_dict().keys() == before.state_dict().keys()
        for layer in found:  # as after training on a device
            layer.running_mean = layer.running_mean + 1
    assert list(network.modules()) == layers and not network.training
    moved = [name for name, value in network.state_dict().items() if not torch.equal(value, before.state_dict()[name])]
    assert moved == [name for name in before.state_dict() if name.endswith("running_mean")]


def test_torchs_own_conversion_would_drop_activations() -> None:
    network = timm.create_model("test_efficientnet", num_classes=4).eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = network(images)
    assert not torch.allclose(nn.SyncBatchNorm.convert_sync_batchnorm(network)(images), expected)


@pytest.mark.parametrize("options", [["trainer=cpu"], ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]])
def test_what_cannot_be_synchronised_is_refused(options: list[str]) -> None:
    with pytest.raises(UserError, match="over several GPUs"):
        build_trainer(config(*options, "trainer.sync_batchnorm=true").trainer)
