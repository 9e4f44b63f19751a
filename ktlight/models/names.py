"""Names of timm's models: short aliases and every architecture, found without importing timm; names of files."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ktlight.errors import UserError

ALIASES: dict[str, str] = {
    "vit_t": "vit_tiny_patch16_224",
    "vit_s": "vit_small_patch16_224",
    "vit_b": "vit_base_patch16_224",
    "vit_l": "vit_large_patch16_224",
    "deit_t": "deit_tiny_patch16_224",
    "deit_s": "deit_small_patch16_224",
    "deit_b": "deit_base_patch16_224",
    "deit3_s": "deit3_small_patch16_224",
    "deit3_b": "deit3_base_patch16_224",
    "swin_t": "swin_tiny_patch4_window7_224",
    "swin_s": "swin_small_patch4_window7_224",
    "swin_b": "swin_base_patch4_window7_224",
    "mixer_s": "mixer_s16_224",
    "mixer_b": "mixer_b16_224",
    "resmlp_12": "resmlp_12_224",
    "resmlp_24": "resmlp_24_224",
    "convnext_t": "convnext_tiny",
    "convnext_s": "convnext_small",
    "convnext_b": "convnext_base",
    "mobilenetv2": "mobilenetv2_100",
    "mobilenetv3_s": "mobilenetv3_small_100",
    "mobilenetv3_l": "mobilenetv3_large_100",
    "effnet_b0": "efficientnet_b0",
    "effnet_b1": "efficientnet_b1",
    "effnet_b2": "efficientnet_b2",
    "effnet_lite0": "tf_efficientnet_lite0",
    "effnet_lite1": "tf_efficientnet_lite1",
    "effnet_lite2": "tf_efficientnet_lite2",
    "regnetx_400mf": "regnetx_004",
    "regnety_400mf": "regnety_004",
    "regnety_1600mf": "regnety_016",
}
"""Aliases to timm names; ``resnet50``, ``test_vit`` and the like are timm's own names."""

_REGISTERED = re.compile(r"^@register_model\s*\n(?:@.*\n)*def (\w+)", re.MULTILINE)


@cache
def architectures() -> tuple[str, ...]:
    """Return every architecture of the installed timm, sorted.

    Importing timm takes seconds, so this searches its source files for ``@register_model`` instead, which finds exactly
    the names of ``timm.list_models()`` in a fraction of a second.
    """
    return found_in_sources("timm", "**/*.py", _REGISTERED)


def found_in_sources(package: str, files: str, pattern: re.Pattern[str]) -> tuple[str, ...]:
    """Return what a pattern finds in source files of a package's folder ``models``, sorted, without importing it."""
    specification = find_spec(package)
    if specification is None or not specification.submodule_search_locations:
        raise UserError(f"{package} is not installed; run: pip install {package}")
    sources = Path(specification.submodule_search_locations[0], "models").glob(files)
    return tuple(sorted({name for source in sources for name in pattern.findall(source.read_text(encoding="utf-8"))}))


def file_name(name: str) -> str:
    """Return a model's name for files and folders: the last two parts of a path, and nothing special in them.

    A dot stands for the colon: what begins with ``hf-`` is taken for a token.

    >>> file_name("resnet50.a1_in1k"), file_name("tv:resnet18"), file_name("hf:microsoft/resnet-18")
    ('resnet50.a1_in1k', 'tv.resnet18', 'hf.microsoft-resnet-18')
    >>> file_name("hf:/tmp/mine/tiny vit"), file_name("hf:./tiny")
    ('hf.mine-tinyvit', 'hf.tiny')
    """
    start, colon, rest = name.rpartition(":")
    parts = [re.sub(r"[^\w.+-]", "", part) for part in rest.rstrip("/").split("/")[-2:] if part.strip(".")]
    return f"{start}{'.' * bool(colon)}{'-'.join(parts)}"
