"""A saved view of a W&B project: how often methods leave students better, which pairs gain, and the curves.

Its specification is plain data, made without W&B; `wandb-workspaces` makes of it what the server takes.
"""

import json
import logging
from importlib import import_module
from pathlib import Path
from typing import Any

from ktlight.publication.weights_and_biases.tracking import Tracked
from ktlight.report.files import write_text

logger = logging.getLogger(__name__)

SPECIFICATION = "wandb_workspace.json"
KEPT = "wandb_workspace.txt"
"""Where the view of a folder is, once it is saved: it is saved once."""
MOST_RUNS = 1000
"""As many runs are drawn."""
CURVES = ("val/acc", "train/loss", "share/teacher")


def workspace(project: str, name: str, group: str | None = None) -> dict[str, Any]:
    """Return the specification of a view.

    Args:
        project: The W&B project.
        name: Of the view.
        group: Of the runs to show; None for all of the project.
    """
    bars = [
        {"kind": "bar", "title": title, "metric": metric, "by": "method.name", "mean": True}
        for title, metric in (
            ("Success by method: share of runs with a delta above 0", "better"),
            ("Mean delta by method, points", "transfer_delta"),
        )
    ]
    scatters = [
        {"kind": "scatter", "title": "Delta against performance difference", "x": "difference", "y": "transfer_delta"},
        {"kind": "scatter", "title": "Knowledge gain against loss", "x": "knowledge_loss", "y": "knowledge_gain"},
    ]
    maps = [{"kind": "media", "title": "Pair map", "keys": ["figures/delta_map"]}]
    curves = [{"kind": "line", "title": metric, "metric": metric, "by": "method.name"} for metric in CURVES]
    return {
        "project": project,
        "name": name,
        "group": group,
        "sections": [
            {"name": "Methods", "panels": bars},
            {"name": "Pairs", "panels": [*scatters, *maps]},
            {"name": "Curves", "panels": curves},
        ],
    }


def built(specification: dict[str, Any], entity: str) -> Any:
    """Return the view as an object of `wandb-workspaces`, not saved yet."""
    import wandb_workspaces.workspaces as ws

    group = specification["group"]
    return ws.Workspace(
        entity=entity,
        project=specification["project"],
        name=specification["name"],
        sections=[
            ws.Section(name=section["name"], panels=[_panel(**panel) for panel in section["panels"]], is_open=True)
            for section in specification["sections"]
        ],
        settings=ws.WorkspaceSettings(max_runs=MOST_RUNS),
        runset_settings=ws.RunsetSettings(filters=[ws.Metric("Group") == group] if group else []),
    )


def keep_workspace(tracked: Tracked, specification: dict[str, Any], folder: Path) -> None:
    """Save a view once, where there is an account; else, or if that fails, leave its specification in the folder."""
    if (folder / KEPT).exists():
        return
    online = tracked.run is not None and tracked.run.settings.mode == "online"
    if online and _saved(tracked, specification, folder):
        (folder / SPECIFICATION).unlink(missing_ok=True)
        return
    write_text(folder / SPECIFICATION, json.dumps(specification, indent=2) + "\n")
    logger.info("W&B's view is in %s; it is saved there once the same command runs online", folder / SPECIFICATION)


def _saved(tracked: Tracked, specification: dict[str, Any], folder: Path) -> bool:
    try:
        address = built(specification, tracked.run.entity).save().url
    except Exception as error:
        logger.warning("W&B: the view could not be saved (%s: %s)", type(error).__name__, error)
        return False
    write_text(folder / KEPT, f"{address}\n")
    logger.info("W&B's view: %s", address)
    return True


def _panel(kind: str, title: str, **given: Any) -> Any:
    wr: Any = import_module("wandb_workspaces.reports.v2")  # whose names its types do not know
    grouped = {"groupby": wr.Config(given["by"]), "groupby_aggfunc": "mean"} if "by" in given else {}
    if kind == "bar":
        return wr.BarPlot(title=title, metrics=[given["metric"]], max_runs_to_show=MOST_RUNS, **grouped)
    if kind == "scatter":
        return wr.ScatterPlot(title=title, x=given["x"], y=given["y"], regression=True)
    if kind == "media":
        return wr.MediaBrowser(title=title, media_keys=given["keys"])
    return wr.LinePlot(title=title, x="epoch", y=[given["metric"]], groupby_rangefunc="minmax", **grouped)
