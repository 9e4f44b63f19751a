"""The model card: README.md of an exported model, as the Hugging Face Hub shows it."""

from collections.abc import Mapping
from typing import Any

from ktlight.models.classifier import Classifier
from ktlight.models.libraries.library import ModelLibrary

HEADER = """\
---
{licence}tags:
- image-classification
- ktlight
{library}pipeline_tag: image-classification
---
"""

LOAD_OWN = """\
from safetensors.torch import load_file

model = {architecture}(...)  # your own class, built with the arguments it was trained with
model.load_state_dict(load_file("{folder}/model.safetensors"))
"""

FOLDER = "PATH_OF_THIS_FOLDER"

PUSH = """\
hf auth login
hf upload YOUR_NAME/MODEL_NAME PATH_OF_THIS_FOLDER .
"""


def model_card(classifier: Classifier, record: Mapping[str, Any], library: ModelLibrary | None) -> str:
    """Return the card in Markdown: the model, how to load it, how it was trained, how to push it to the Hub.

    Args:
        classifier: The model.
        record: Training record; its plain values and intervals are shown.
        library: The library that can build the architecture; None for a user's own network.
    """
    architecture, licence = classifier.architecture, classifier.provenance and classifier.provenance.licence
    load = library.usage(FOLDER) if library else LOAD_OWN.format(architecture=architecture, folder=FOLDER)
    anywhere = library and library.usage_on_hub("YOUR_NAME/MODEL_NAME")
    after = f"\nThen `{anywhere}` loads it anywhere.\n" if anywhere else ""
    rows = [f"| {key} | {shown} |" for key, value in record.items() if (shown := _shown(value))]
    made = ["", "| | |", "|---|---|", *rows] if rows else []
    own = "" if library else " The folder holds weights only: they are to be loaded into your own class."
    licensed = [f"The weights that its training started from are licensed under {licence}.", ""] if licence else []
    header = HEADER.format(
        licence=f"license: {licence}\n" if licence else "",
        library=f"- {library.package}\nlibrary_name: {library.package}\n" if library else "",
    )
    return "\n".join(
        [
            header,
            f"# {classifier.name}",
            "",
            f"An image classifier ({architecture}, {classifier.num_classes} classes) trained with ktlight.{own}",
            "",
            *licensed,
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
            after,
        ]
    )


def _shown(value: Any) -> str:
    """Return a plain value or interval as shown on the card, numbers rounded; nothing for anything else."""
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) >= 0.01 else f"{value:.2g}"
    if isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(each, float) for each in value):
        return f"{value[0]:+.2f} to {value[1]:+.2f}"
    return str(value) if isinstance(value, str | int) else ""
