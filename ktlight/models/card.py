"""The model card: README.md of an exported model, as the Hugging Face Hub shows it."""

from collections.abc import Mapping
from typing import Any

HEADER = """\
---
tags:
- image-classification
- ktlight
{library}pipeline_tag: image-classification
---
"""

LOAD_TIMM = """\
import timm

model = timm.create_model("local-dir:PATH_OF_THIS_FOLDER", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
"""

LOAD_OWN = """\
from safetensors.torch import load_file

model = {architecture}(...)  # your own class, built with the arguments it was trained with
model.load_state_dict(load_file("PATH_OF_THIS_FOLDER/model.safetensors"))
"""

PUSH = """\
hf auth login
hf upload YOUR_NAME/MODEL_NAME PATH_OF_THIS_FOLDER .
"""


def model_card(name: str, architecture: str, num_classes: int, record: Mapping[str, Any], *, is_timm: bool) -> str:
    """Return the card in Markdown: what the model is, how to load it, how it was made, how to push it to the Hub.

    Args:
        name: What the user calls the model.
        architecture: timm's name, or the name of the user's own class.
        num_classes: Number of logits.
        record: How it was made; its plain values are shown.
        is_timm: Whether timm can build the architecture.
    """
    load = LOAD_TIMM if is_timm else LOAD_OWN.format(architecture=architecture)
    after = '\nThen `timm.create_model("hf-hub:YOUR_NAME/MODEL_NAME", pretrained=True)` loads it anywhere.\n'
    rows = [f"| {key} | {value} |" for key, value in record.items() if isinstance(value, str | int | float)]
    made = ["", "| | |", "|---|---|", *rows] if rows else []
    own = "" if is_timm else " The folder holds weights only: they are to be loaded into your own class."
    return "\n".join(
        [
            HEADER.format(library="- timm\nlibrary_name: timm\n" if is_timm else ""),
            f"# {name}",
            "",
            f"An image classifier ({architecture}, {num_classes} classes) trained with ktlight.{own}",
            "",
            "## Load it",
            "",
            f"```python\n{load}```",
            "",
            "## How it was made",
            *made,
            "",
            "`training_record.json` holds all of it.",
            "",
            "## Push it to the Hugging Face Hub",
            "",
            f"```bash\n{PUSH}```",
            after if is_timm else "",
        ]
    )
