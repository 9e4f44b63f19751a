"""What a transfer gives to Python."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ktlight.models.classifier import Classifier
from ktlight.models.libraries.library import library_of_network
from ktlight.report.folder import RunFolder
from ktlight.report.table import noise, percent, short


@dataclass(frozen=True, repr=False)
class Transfer:
    """What a transfer gives; ``print`` shows the figures that matter.

    Attributes:
        student: The student after the transfer. ``student.network`` is the network itself, an ``nn.Module`` of the
            class that was given; ``student`` is the same with its preprocessing before it.
        results: The figures, the fields of ``results.json``: ``acc_before``, ``acc_after``, ``transfer_delta``,
            ``transfer_delta_ci95`` and so on; accuracies are in percent of the held-out samples.
        folder: The folder of the run, ``folder.path``: the figures, every prediction, curves, the config and the
            student's weights.
    """

    student: Classifier
    results: dict[str, Any]
    folder: RunFolder

    def __str__(self) -> str:
        results = self.results
        title = f"{self._title()}, in % of {results['num_eval']} held-out samples"
        rows = [f"  {name:<16}{figure:>6}  {remark}".rstrip() for name, figure, remark in self._rows()]
        weights = f"{short(self.folder.path)}/student"
        load = f"safetensors.torch.load_file('{weights}/model.safetensors')"
        if library := library_of_network(self.student.network):
            load = library.usage_line(weights)
        kept = [f"its weights  {load}"] * bool(results["epochs"])
        return "\n".join(
            [
                title,
                *rows,
                f"folder       {short(self.folder.path)}",
                "the student  .student.network (nn.Module)",
                *kept,
            ]
        )

    def __repr__(self) -> str:
        figures = f"{percent(self.results['acc_before'])} -> {percent(self.results['acc_after'])}"
        return f"<{type(self).__name__} {self._title()}: {figures}{noise(self.results)}, {short(self.folder.path)}>"

    def _title(self) -> str:
        return f"{self.results['method']}: {self.results['teacher']} -> {self.results['student']}"

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        results = self.results
        low, high = results["transfer_delta_ci95"]
        yield "accuracy before", percent(results["acc_before"]), f"teacher {percent(results['acc_teacher'])}"
        yield "accuracy after", percent(results["acc_after"]), ""
        interval = f"95% interval {low:+.2f} to {high:+.2f}{noise(results)}"
        yield "transfer delta", f"{results['transfer_delta']:+.2f}", interval
        yield "knowledge gain", percent(results["knowledge_gain"]), "wrong before, right after"
        yield "knowledge loss", percent(results["knowledge_loss"]), "right before, wrong after"
