"""Image classifiers of transformers: definitions and weights from folders, image processors, exports, refusals."""

import json
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    BertConfig,
    BitImageProcessor,
    CLIPConfig,
    ConvNextConfig,
    ConvNextImageProcessor,
    DeiTConfig,
    DetrConfig,
    EfficientNetImageProcessor,
    LevitImageProcessor,
    MobileViTConfig,
    MobileViTImageProcessor,
    PerceiverImageProcessor,
    PoolFormerImageProcessor,
    PreTrainedConfig,
    ResNetConfig,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

from ktlight.data.dataset import numbered_classes
from ktlight.errors import UserError
from ktlight.models import hub
from ktlight.models.build import build_classifier, new_classifier, provenance_of
from ktlight.models.export import export_classifier
from ktlight.models.libraries.image_processors import settings
from ktlight.models.libraries.library import resolve
from ktlight.models.preprocess import Preprocess
from ktlight.models.recipe import make_recipe
from ktlight.models.spec import ModelConfig
from ktlight.models.starting import head_parameters, starting_classifier
from tests.models.conftest import images
from tests.models.libraries.test_torchvision_models import photo

NAMES = [f"class {number}" for number in range(10)]
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
VIT = {
    "image_size": 32, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16,
}  # fmt: skip
Make = Callable[..., Path]


@pytest.fixture
def saved(tmp_path: Path) -> Make:
    """Return a function that saves a tiny definition, and weights with a processor if one is given."""

    def save(
        defined: PreTrainedConfig, processor: Any = None, name: str = "tiny", labels: list[str] | None = None
    ) -> Path:
        folder = tmp_path / name
        if labels:
            defined.id2label, defined.label2id = dict(enumerate(labels)), {label: n for n, label in enumerate(labels)}
        if processor is None:
            defined.save_pretrained(folder)
        else:
            torch.manual_seed(0)
            AutoModelForImageClassification.from_config(defined).save_pretrained(folder)
            processor.save_pretrained(folder)
        return folder

    return save


def config(folder: Path | str, **fields) -> ModelConfig:
    return ModelConfig(f"hf:{folder}", resolve(f"hf:{folder}"), **fields)


def build(model: ModelConfig, names=None):
    return build_classifier(model, provenance_of(model), class_names=names or numbered_classes(10)).eval()


def made(folder: Path, **fields):
    torch.manual_seed(0)
    return new_classifier(config(folder, **fields), num_classes=10, native_size=32).eval()


@pytest.mark.parametrize(
    ("defined", "heads", "width"),
    [
        (ResNetConfig(**RESNET), ("classifier.1",), 16),
        (ViTConfig(**{**VIT, "image_size": 224}), ("classifier",), 16),
        (ConvNextConfig(hidden_sizes=[8, 8, 8, 16], depths=[1, 1, 1, 1]), ("classifier",), 16),
        (CLIPConfig(vision_config={**VIT, "image_size": 224}, projection_dim=8), ("classifier",), 16),
    ],
)
def test_a_definition_alone_makes_a_network_with_timms_interface(saved: Make, defined, heads, width) -> None:
    classifier = made(saved(defined))
    assert classifier.framing.size == (32, 32) and classifier.architecture == "hf:tiny"
    assert classifier.network.heads == heads
    logits, features = classifier.logits_and_features(images(2))
    assert logits.shape == (2, 10) and features.shape == (2, width)
    assert {name.rpartition(".")[2] for name in head_parameters(classifier)} == {"weight", "bias"}
    classifier.network.reset_classifier(3)
    assert classifier(images(2)).shape == (2, 3) and classifier.network.model.config.num_labels == 3


def test_saved_weights_answer_as_in_transformers(saved: Make) -> None:
    folder = saved(ResNetConfig(**RESNET), ConvNextImageProcessor(size={"shortest_edge": 64}), labels=NAMES)
    found = build(config(folder), NAMES)
    assert found.class_names == tuple(NAMES) and str(found.provenance) == f"checkpoint: {folder}"
    image = photo()
    theirs = AutoModelForImageClassification.from_pretrained(folder).eval()
    prepared = AutoImageProcessor.from_pretrained(folder)(image, return_tensors="pt")["pixel_values"]
    ours = found.framing(image)[None]
    torch.testing.assert_close(found.preprocess(ours), prepared, atol=0.04, rtol=0)
    torch.testing.assert_close(found.network(prepared), theirs(pixel_values=prepared).logits, rtol=0, atol=0)
    turned = build(config(folder), NAMES[::-1])
    torch.testing.assert_close(turned(ours), found(ours).flip(1))
    with pytest.raises(UserError, match=r"hf:.*tiny"):
        build(config(folder), [f"thing {number}" for number in range(10)])


@pytest.mark.parametrize(
    "processor",
    [
        ViTImageProcessor(size={"height": 48, "width": 48}),
        ConvNextImageProcessor(size={"shortest_edge": 64}),
        ConvNextImageProcessor(size={"shortest_edge": 384}),
        BitImageProcessor(size={"shortest_edge": 73}, crop_size={"height": 64, "width": 64}, resample=2),
        PoolFormerImageProcessor(size={"shortest_edge": 36}, crop_size={"height": 36, "width": 36}),
        LevitImageProcessor(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}),
        EfficientNetImageProcessor(size={"height": 64, "width": 64}, resample=3),
        MobileViTImageProcessor(size={"shortest_edge": 72}, crop_size={"height": 64, "width": 64}),
    ],
    ids=lambda processor: type(processor).__name__,
)
def test_plain_images_are_prepared_as_by_the_processor(processor, caplog) -> None:
    found, flipped = settings(processor, 224, "x")
    preprocess = Preprocess(found.pop("input_size")[1:], **found)
    image = photo(300, 400)
    theirs = processor(image, return_tensors="pt")["pixel_values"][0]
    theirs = theirs.flip(0) if flipped else theirs
    ours = preprocess(preprocess.framing(image)[None])[0]
    assert ours.shape == theirs.shape and flipped == isinstance(processor, MobileViTImageProcessor)
    assert (ours - theirs).abs().max() <= 1.01 / 255 / min(preprocess.std)
    assert not caplog.records


def test_a_processor_with_a_way_of_its_own_is_told_of(caplog) -> None:
    settings(BitImageProcessor(size={"longest_edge": 64, "shortest_edge": 40}, do_center_crop=False), 224, "mine")
    settings(PerceiverImageProcessor(size={"height": 60, "width": 60}, crop_size={"height": 70, "width": 70}), 224, "x")
    assert caplog.messages[0].startswith("mine: its BitImageProcessor prepares images in a way of its own")


@pytest.mark.parametrize("crop_mode", ["center", "squash"])
def test_an_exported_folder_loads_in_transformers_by_its_card(saved: Make, tmp_path: Path, crop_mode: str) -> None:
    folder = saved(ViTConfig(**VIT), ViTImageProcessor(size={"height": 32, "width": 32}))
    source = config(folder, crop_pct=0.8, crop_mode=crop_mode, mean=0.4, interpolation="bilinear")
    classifier = starting_classifier(source, init="hub", class_names=NAMES, native_size=32).eval()
    export_classifier(classifier, tmp_path / "student", record={"acc": 97.5}, class_names=NAMES)
    card = (tmp_path / "student" / "README.md").read_text()
    assert "library_name: transformers\n" in card and 'from_pretrained("YOUR_NAME/MODEL_NAME")`' in card
    code = card.split("```python\n")[1].split("```")[0].replace("PATH_OF_THIS_FOLDER", str(tmp_path / "student"))
    space: dict = {}
    exec(code, space)
    image = photo(90, 120)
    ours = classifier.framing(image)[None]
    pixels = classifier.preprocess(ours)
    prepared = space["transform"](Image.fromarray(image.permute(1, 2, 0).numpy()))
    assert (prepared - pixels[0]).abs().max() <= 1.01 / 255 / 0.5
    torch.testing.assert_close(space["model"](pixels).logits, classifier(ours))
    assert space["model"].config.id2label == dict(enumerate(NAMES))
    theirs = load_file(folder / "model.safetensors")  # names of files are not those of modules
    assert load_file(tmp_path / "student" / "model.safetensors").keys() == theirs.keys()

    again = build(config(folder, checkpoint=str(tmp_path / "student")), NAMES)
    assert again.weights_hash() == classifier.weights_hash() and again.class_names == tuple(NAMES)
    torch.testing.assert_close(again(ours), classifier(ours), rtol=0, atol=0)
    itself = build(config(tmp_path / "student"), NAMES[::-1])
    torch.testing.assert_close(itself(ours), classifier(ours).flip(1))


def test_a_model_that_takes_blue_first_keeps_its_processor(saved: Make, tmp_path: Path) -> None:
    tiny = {"hidden_sizes": [8, 8, 8], "neck_hidden_sizes": [8, 8, 8, 8, 8, 8, 16], "num_attention_heads": 2}
    processor = MobileViTImageProcessor(size={"shortest_edge": 72}, crop_size={"height": 64, "width": 64})
    folder = saved(MobileViTConfig(**tiny, num_labels=10), processor)
    classifier = build(config(folder))
    prepared = processor(photo(), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(
        classifier(classifier.framing(photo())[None]), classifier.network.model(prepared).logits, atol=1e-3, rtol=1e-3
    )
    export_classifier(classifier, tmp_path / "out", record={}, class_names=NAMES)
    kept = AutoImageProcessor.from_pretrained(tmp_path / "out")
    torch.testing.assert_close(kept(photo(), return_tensors="pt")["pixel_values"], prepared)
    with pytest.raises(UserError, match=r"takes blue, green and red, .* leave out img_size="):
        build(config(folder, img_size=64))


def test_a_bare_file_for_a_definition(saved: Make, tmp_path: Path) -> None:
    folder = saved(ResNetConfig(**RESNET))
    trained = made(folder)
    trained.network.model.save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "model.safetensors").rename(tmp_path / "w.safetensors")
    found = build(config(folder, checkpoint=str(tmp_path / "w.safetensors"), img_size=32, crop_pct=1.0))
    torch.testing.assert_close(found(images()), trained(images()), rtol=0, atol=0)
    other = saved(ResNetConfig(**{**RESNET, "hidden_sizes": [8, 24]}), name="other")
    with pytest.raises(UserError, match=r"w\.safetensors does not hold the weights of .*"):
        build(config(other, checkpoint=str(tmp_path / "w.safetensors")))


def test_distilled_networks_have_two_heads(saved: Make) -> None:
    defined = DeiTConfig(**VIT, architectures=["DeiTForImageClassificationWithTeacher"])
    classifier = made(saved(defined))
    assert set(classifier.network.heads) == {"cls_classifier", "distillation_classifier"}
    assert classifier.feature_tap.width == 32


def test_the_identity_is_what_the_config_defines(saved: Make) -> None:
    def name(folder: Path) -> str:
        return make_recipe(config(folder), identity="d", data={}, training={}).name

    one = saved(ResNetConfig(**RESNET), labels=NAMES)
    assert name(one).startswith("hf.tiny-")
    same = saved(ResNetConfig(**RESNET, num_labels=7), name="more/tiny")
    wider = saved(ResNetConfig(**{**RESNET, "hidden_sizes": [8, 24]}), name="wide/tiny")
    assert name(one) == name(same) != name(wider)


@pytest.mark.parametrize(
    ("defined", "message"),
    [
        (BertConfig(hidden_size=8), r"kind bert \(BertConfig\), which is no image classifier"),
        (DetrConfig(), r"kind detr \(DetrConfig\), which is no image classifier"),
    ],
)
def test_no_image_classifier(saved: Make, defined, message: str) -> None:
    with pytest.raises(UserError, match=message):
        made(saved(defined))


def test_other_folders_are_refused(saved: Make, tmp_path: Path, make) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty has no config\.json, so it is not a folder that transformers saved"):
        made(tmp_path / "empty")
    export_classifier(make(), tmp_path / "timm", record={})
    with pytest.raises(UserError, match="names no model_type, so it is not a model of transformers"):
        made(tmp_path / "timm")
    with pytest.raises(UserError, match="there is no such folder, nor can it be an ID of the Hub"):
        resolve("hf:./nowhere/at/all")
    code = saved(ResNetConfig(**RESNET), name="code")
    said = json.loads((code / "config.json").read_text())
    said |= {"model_type": "of_mine", "auto_map": {"AutoConfig": "mine.Mine"}}
    (code / "config.json").write_text(json.dumps(said))
    (code / "mine.py").write_text("raise SystemExit('was run')")
    with pytest.raises(UserError, match="cannot be read by transformers"):
        made(code)


def test_weights_that_are_not_all_there(saved: Make, tmp_path: Path) -> None:
    trunk = tmp_path / "trunk"
    ViTModel(ViTConfig(**VIT)).save_pretrained(trunk)
    with pytest.raises(UserError, match=r"missing: classifier\.bias, classifier\.weight\. Is it a model without"):
        build(config(trunk))
    folder = saved(ResNetConfig(**RESNET), ConvNextImageProcessor())
    other = saved(ViTConfig(**VIT), name="vit")
    with pytest.raises(UserError, match=r"holds a resnet, not a vit as hf:.*vit; name it"):
        build(config(other, checkpoint=str(folder)))
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"holds no model\.safetensors: save the model again"):
        build(config(folder, checkpoint=f"hf:{folder}"))
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="does not hold the weights of its config"):
        build(config(folder))


def test_options_that_cannot_work(saved: Make) -> None:
    folder = saved(ViTConfig(**VIT), ViTImageProcessor(size={"height": 32, "width": 32}), labels=NAMES)
    with pytest.raises(UserError, match=r"its config has no hiden_size\. Did you mean hidden_size"):
        made(folder, kwargs={"hiden_size": 8})
    with pytest.raises(UserError, match=r"takes no images of 64 x 64 pixels \(Input image size"):
        build(config(folder, img_size=64))
    with pytest.raises(UserError, match="crop_mode=border is timm's alone"):
        build(config(folder, crop_mode="border"))
    deeper = made(folder, kwargs={"num_hidden_layers": 2}, img_size=64)
    assert deeper.framing.size == (64, 64) and deeper(images(2, 64)).shape == (2, 10)


def test_without_the_library_it_says_what_to_install(monkeypatch) -> None:
    found = util.find_spec
    name = "ktlight.models.libraries.transformers_models.find_spec"
    monkeypatch.setattr(name, lambda package: None if package == "transformers" else found(package))
    with pytest.raises(UserError, match=r"hf:microsoft/resnet-18 needs .*: pip install 'ktlight\[transformers\]'"):
        resolve("hf:microsoft/resnet-18")


def test_models_of_the_hub(saved: Make, monkeypatch, tmp_path: Path) -> None:
    folder = saved(ResNetConfig(**RESNET), ConvNextImageProcessor(size={"shortest_edge": 64}), labels=NAMES)
    asked: list[tuple[str, list[str]]] = []

    def snapshot_download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((f"{name}@{revision}", allow_patterns))
        return str(folder)

    monkeypatch.setattr(hub, "reach", lambda *asked: None)
    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    found = build(config("me/tiny@main"), NAMES)
    assert found.class_names == tuple(NAMES) and str(found.provenance) == "Hugging Face Hub: me/tiny@main"
    assert asked[0][0] == "me/tiny@main" and not any(name.endswith((".py", ".bin")) for name in asked[0][1])
    assert made("me/tiny")(images()).shape == (4, 10) and asked[-1] == ("me/tiny@None", ["config.json"])


def test_without_a_network_the_hub_is_a_clear_error(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    for attempt in (lambda: build(config("microsoft/resnet-18")), lambda: made("microsoft/resnet-18")):
        with pytest.raises(UserError, match=r"hf:microsoft/resnet-18 could not be fetched .*offline.*checkpoint=FILE"):
            attempt()
