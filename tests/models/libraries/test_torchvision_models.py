"""torchvision's classifiers: names, weights from everywhere, preprocessing, exports."""

import hashlib
import re
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision.models
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.data import ImageNetInfo
from torchvision.models import get_model, get_model_weights, list_models

from ktlight.data.dataset import numbered_classes
from ktlight.errors import UserError
from ktlight.models import download
from ktlight.models.build import build_classifier, new_classifier, provenance_of
from ktlight.models.export import export_classifier
from ktlight.models.features import classifier_layers
from ktlight.models.libraries.library import is_known, listed_names, resolve
from ktlight.models.libraries.torchvision_models import classifiers
from ktlight.models.spec import ModelConfig
from ktlight.models.starting import head_parameters, starting_classifier
from tests.models.conftest import images

TINY = "tv:shufflenet_v2_x0_5"
NAMES = [f"class {number}" for number in range(10)]


def config(name: str = TINY, **fields) -> ModelConfig:
    return ModelConfig(name, resolve(name), **fields)


def made(name: str = TINY, num_classes: int = 10, **fields):
    torch.manual_seed(0)
    classifier = new_classifier(config(name, **fields), num_classes=num_classes, native_size=32)
    return classifier.eval()


def build(model: ModelConfig, names=None, **options):
    return build_classifier(model, provenance_of(model), class_names=names or numbered_classes(10), **options).eval()


def photo(height: int = 301, width: int = 407) -> torch.Tensor:
    """Return an image of smooth colours and some noise, uint8 [3, H, W]."""
    rows, columns = np.mgrid[:height, :width]
    channels = [np.sin(rows / 30 + k) * np.cos(columns / (20 + 9 * k)) * 90 + 128 for k in range(3)]
    noise = np.random.default_rng(0).normal(0, 12, (3, height, width))
    return torch.from_numpy(np.clip(np.stack(channels) + noise, 0, 255).astype(np.uint8))


def test_the_names_are_torchvisions_classifiers() -> None:
    assert set(classifiers()) == set(list_models(module=torchvision.models))
    assert is_known("tv:resnet50.IMAGENET1K_V1") and resolve("tv:resnet50") == "tv:resnet50"
    assert "tv:resnet18" in listed_names() and "resnet18" in listed_names()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tv:resnt50", "torchvision has no model 'resnt50'. Did you mean tv:resnet50"),
        ("tv:fasterrcnn_resnet50_fpn", "tv:fasterrcnn_resnet50_fpn is no image classifier: give a classifier"),
        ("tv:deeplabv3_resnet50", "no image classifier"),
        ("tv:r3d_18", "no image classifier"),
        ("tv:quantized_resnet18", "is quantised and cannot be trained"),
    ],
)
def test_other_names_are_refused(name: str, message: str) -> None:
    assert not is_known(name)
    with pytest.raises(UserError) as refused:
        resolve(name)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("name", "size", "width"),
    [(TINY, 32, 1024), ("tv:squeezenet1_1", 32, 512), ("tv:mobilenet_v3_small", 32, 1024), ("tv:alexnet", 64, 4096)],
)
def test_each_has_timms_interface(name: str, size: int, width: int) -> None:
    classifier = made(name)
    assert classifier.framing.size == (size, size) and classifier.architecture == name
    logits, features = classifier.logits_and_features(images(2, 40))
    assert logits.shape == (2, 10) and features.shape == (2, width)
    torch.testing.assert_close(logits, classifier(images(2, 40)))
    head = head_parameters(classifier)
    assert {name.rpartition(".")[2] for name in head} == {"weight", "bias"}
    network = classifier.network
    network.reset_classifier(3)
    assert network.num_classes == 3 and classifier(images(2, 40)).shape == (2, 3)


def test_a_conv_head_is_given_the_mean_over_positions() -> None:
    classifier = made("tv:squeezenet1_1", img_size=64)
    seen = []
    layer = classifier_layers(classifier.network)[0]
    layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    _, features = classifier.logits_and_features(images(2, 64))
    assert seen[0].shape[-1] > 1
    torch.testing.assert_close(features, seen[0].flatten(2).mean(2))


@pytest.mark.parametrize("name", ["tv:googlenet", "tv:inception_v3"])
def test_auxiliary_classifiers_are_left_out(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = get_model(name.removeprefix("tv:"), num_classes=10, init_weights=False)
    assert any("aux" in key.lower() for key in whole.state_dict())
    torch.save(whole.state_dict(), tmp_path / "own.pth")
    classifier = build(config(name, checkpoint=str(tmp_path / "own.pth"), img_size=96))
    pixels = torch.rand(2, 3, 96, 96)
    torch.testing.assert_close(classifier.network(pixels), whole.eval()(pixels))
    assert classifier.train()(images(2, 96)).shape == (2, 10)  # in training they would answer too


def own_weights(monkeypatch, folder: Path, architecture: str, **options) -> dict[str, torch.Tensor]:
    """Pretend that a file with random weights is torchvision's, already downloaded, by its hash."""
    torch.manual_seed(0)
    state = get_model(architecture, **options).state_dict()
    weights = get_model_weights(architecture).DEFAULT
    file = folder / "checkpoints" / "unnamed.pth"
    file.parent.mkdir(exist_ok=True)
    torch.save(state, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    object.__setattr__(weights.value, "url", f"https://download.pytorch.org/models/{architecture}-{digest}.pth")
    file.rename(file.with_name(f"{architecture}-{digest}.pth"))
    monkeypatch.setenv("TORCH_HOME", str(folder))
    monkeypatch.setattr(torch.hub, "_hub_dir", str(folder), raising=False)
    return state


@pytest.fixture
def default_weights():
    """Put back what `own_weights` changes."""
    before = {name: get_model_weights(name).DEFAULT.url for name in ("shufflenet_v2_x0_5", "googlenet")}
    yield
    for name, url in before.items():
        object.__setattr__(get_model_weights(name).DEFAULT.value, "url", url)


def test_torchvisions_own_weights(monkeypatch, tmp_path, default_weights) -> None:
    state = own_weights(monkeypatch, tmp_path, "shufflenet_v2_x0_5")
    wnids = ImageNetInfo("imagenet-1k").label_names()
    found = build(config(), wnids)
    torch.testing.assert_close(dict(found.network.model.state_dict()), dict(state))
    assert found.class_names == tuple(wnids) and found.provenance.source == "torchvision"
    assert str(found.provenance) == f"torchvision: {get_model_weights('shufflenet_v2_x0_5').DEFAULT.url[36:]}"
    turned = build(config(checkpoint=TINY), wnids[::-1])
    torch.testing.assert_close(turned(images(2, 224)), found(images(2, 224)).flip(1))
    categories = get_model_weights("shufflenet_v2_x0_5").DEFAULT.meta["categories"]
    assert build(config(), categories).class_names == tuple(categories)
    with pytest.raises(UserError, match="is a tv:resnet18, not a tv:shufflenet"):
        build(config(checkpoint="tv:resnet18"), wnids)


def test_a_file_of_torchvision_is_recognised_by_its_content(monkeypatch, tmp_path, default_weights) -> None:
    state = own_weights(monkeypatch, tmp_path, "googlenet", init_weights=False)
    file = next((tmp_path / "checkpoints").iterdir()).rename(tmp_path / "renamed.pth")
    wnids = ImageNetInfo("imagenet-1k").label_names()
    found = build(config("tv:googlenet", checkpoint=str(file)), wnids)
    assert found.class_names == tuple(wnids)
    assert found.network.model.transform_input  # as torchvision builds it for these weights alone
    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "mine.safetensors")
    other = build(config("tv:googlenet", checkpoint=str(tmp_path / "mine.safetensors")), wnids)
    assert other.class_names is None or not other.network.model.transform_input


def test_names_of_densenets_layers_in_old_files(tmp_path) -> None:
    torch.manual_seed(0)
    network = made("tv:densenet121")
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name): value
        for name, value in network.network.model.state_dict().items()
    }
    assert old.keys() != network.network.model.state_dict().keys()
    torch.save(old, tmp_path / "old.pth")
    found = build(config("tv:densenet121", checkpoint=str(tmp_path / "old.pth"), img_size=32))
    torch.testing.assert_close(found(images()), network(images()))


def test_without_a_network_it_says_so(monkeypatch, tmp_path) -> None:
    def nothing(url, timeout):
        raise URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path), raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(download, "urlopen", nothing)
    with pytest.raises(UserError, match=r"weights of tv:resnet18 could not be fetched from download\.pytorch\.org"):
        build(config("tv:resnet18"), numbered_classes(1000))


def test_weights_that_do_not_fit(tmp_path) -> None:
    torch.save(made("tv:mobilenet_v3_small").network.model.state_dict(), tmp_path / "other.pth")
    with pytest.raises(UserError, match="does not hold the weights of tv:shufflenet_v2_x0_5: missing"):
        build(config(checkpoint=str(tmp_path / "other.pth")))
    torch.save(made(num_classes=7).network.model.state_dict(), tmp_path / "seven.pth")
    with pytest.raises(UserError, match="for 7 classes, but the data has 10"):
        build(config(checkpoint=str(tmp_path / "seven.pth")))
    with pytest.raises(UserError, match=r"no weights tv:resnet50\.IMAGENET1K_V3\. Did you mean IMAGENET1K_V2"):
        made("tv:resnet50.IMAGENET1K_V3")
    with pytest.raises(UserError, match=r"no weights tv:vgg16\.IMAGENET1K_FEATURES"):
        made("tv:vgg16.IMAGENET1K_FEATURES")  # which have no classifier
    (tmp_path / "bare").mkdir()
    with pytest.raises(UserError, match=r"has no config\.json, so it is not a torchvision folder"):
        build(config(checkpoint=str(tmp_path / "bare")))


def test_a_folder_of_another_library(make, tmp_path) -> None:
    export_classifier(make(), tmp_path / "timm", record={})
    with pytest.raises(UserError, match="holds a model of timm, but one of torchvision was named"):
        build(config(checkpoint=str(tmp_path / "timm")))
    export_classifier(made(), tmp_path / "tv", record={})
    with pytest.raises(UserError, match="holds a model of torchvision, but one of timm was named"):
        build(ModelConfig("r", "test_resnet", checkpoint=str(tmp_path / "tv")))
    with pytest.raises(UserError, match="is a tv:shufflenet_v2_x0_5, not a tv:mobilenet_v3_small"):
        build(config("tv:mobilenet_v3_small", checkpoint=str(tmp_path / "tv")))


def test_sizes_and_arguments_that_cannot_work() -> None:
    with pytest.raises(UserError, match=r"torchvision cannot make shufflenet_v2_x0_5 with dpth=1"):
        made(kwargs={"dpth": 1})
    with pytest.raises(UserError, match="takes no images of 16 x 16 pixels"):
        made("tv:alexnet", img_size=16)
    with pytest.raises(UserError, match="crop_mode=border is timm's alone"):
        made(crop_mode="border")


def test_a_vision_transformer_is_built_for_its_size(tmp_path) -> None:
    from torchvision.models import VisionTransformer

    torch.manual_seed(0)
    classifier = made("tv:vit_b_32")
    assert isinstance(classifier.network.model, VisionTransformer) and classifier.framing.size == (32, 32)
    assert classifier(images()).shape == (4, 10)
    save_file(classifier.network.model.state_dict(), tmp_path / "v.safetensors")
    again = build(config("tv:vit_b_32", checkpoint=str(tmp_path / "v.safetensors"), img_size=32))
    torch.testing.assert_close(again(images()), classifier(images()))
    with pytest.raises(UserError, match="VisionTransformer takes only its own input size"):
        from ktlight.models.network import set_input_size

        set_input_size(classifier.network, 64)


@pytest.mark.parametrize(
    "name",
    [TINY, "tv:efficientnet_b1.IMAGENET1K_V2", "tv:resnet18", "tv:swin_t", "tv:regnet_y_16gf.IMAGENET1K_SWAG_E2E_V1"],
)
def test_plain_images_are_prepared_as_torchvision_does(name: str) -> None:
    from ktlight.models.libraries.torchvision_networks import record_of, weights_of
    from ktlight.models.preprocess import Preprocess

    record = record_of(name)
    settings = ("crop_pct", "interpolation", "mean", "std", "crop_mode")
    preprocess = Preprocess(record["input_size"][1:], **{key: record[key] for key in settings})
    image = photo()
    expected = weights_of(name).transforms()(Image.fromarray(image.permute(1, 2, 0).numpy()))
    ours = preprocess(preprocess.framing(image)[None])[0]
    assert ours.shape == expected.shape
    grey = 1 / 255 / min(preprocess.std)  # one level of 256
    assert (ours - expected).abs().max() <= 1.01 * grey


@pytest.mark.parametrize("crop_mode", ["center", "squash"])
def test_an_exported_folder_loads_in_torchvision_by_its_card(tmp_path, crop_mode: str) -> None:
    classifier = made(img_size=64, crop_pct=0.9, crop_mode=crop_mode, mean=0.5, std=[0.2, 0.25, 0.3])
    export_classifier(classifier, tmp_path / "student", record={"acc": 97.5}, class_names=NAMES)
    card = (tmp_path / "student" / "README.md").read_text()
    assert "library_name: torchvision\n" in card and "Then `" not in card
    code = card.split("```python\n")[1].split("```")[0].replace("PATH_OF_THIS_FOLDER", str(tmp_path / "student"))
    space: dict = {}
    exec(code, space)
    image = photo(90, 120)
    prepared = space["transform"](Image.fromarray(image.permute(1, 2, 0).numpy()))
    ours = classifier.framing(image)[None]
    assert (prepared - classifier.preprocess(ours)[0]).abs().max() <= 1.01 / 255 / 0.2
    pixels = classifier.preprocess(ours)
    torch.testing.assert_close(space["model"](pixels), classifier(ours), rtol=0, atol=0)
    own = load_file(tmp_path / "student" / "model.safetensors")
    assert own.keys() == get_model("shufflenet_v2_x0_5").state_dict().keys()

    again = build(config(checkpoint=str(tmp_path / "student")), NAMES)
    assert again.class_names == tuple(NAMES) and again.weights_hash() == classifier.weights_hash()
    torch.testing.assert_close(again(ours), classifier(ours), rtol=0, atol=0)
    turned = build(config(checkpoint=str(tmp_path / "student")), NAMES[::-1])
    torch.testing.assert_close(turned(ours), classifier(ours).flip(1), rtol=0, atol=0)


def test_training_goes_on_from_weights_for_other_classes(tmp_path) -> None:
    export_classifier(made(num_classes=7), tmp_path / "seven", record={})
    model = config(checkpoint=str(tmp_path / "seven"))
    start = starting_classifier(model, init="scratch", class_names=NAMES, native_size=32).eval()
    assert start.num_classes == 10 and start(images()).shape == (4, 10)
