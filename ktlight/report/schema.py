"""What ``results.json`` holds, and in which version of it: the one place that writers and readers share."""

from typing import Any, NotRequired, TypedDict

SCHEMA = 1
"""Goes up when a field changes its meaning or goes away; new fields leave it as it is."""


class ModelFacts(TypedDict):
    """One model of a run; see `ktlight.models.provenance.model_facts`.

    Attributes:
        name: What the user calls it.
        architecture: timm's name, or that of the user's own class.
        family: The module that defines it, such as ``vision_transformer``.
        parameters: How many numbers it has.
        provenance: Where the weights come from.
        input_size: Channels, height and width; None, like the following, where the data prepare the images.
        crop_pct: Share of the resized image's side that the crop keeps.
        crop_mode: ``center``, ``squash`` or ``border``.
        interpolation: Of the resizing.
        mean: Of each channel.
        std: Of each channel.
        weights: SHA-256 of its weights; in a transfer those before.
    """

    name: str
    architecture: str
    family: str
    parameters: int
    provenance: dict[str, Any] | None
    input_size: list[int] | None
    crop_pct: float | None
    crop_mode: str | None
    interpolation: str | None
    mean: list[float] | None
    std: list[float] | None
    weights: str


class Results(TypedDict):
    """What every run says.

    Attributes:
        schema: `SCHEMA` of the writer.
        task: Name of the task.
        seconds: How long each phase took: load, before, train, after, write.
        versions: Of the packages that figures depend on.
    """

    schema: int
    task: str
    seconds: dict[str, float]
    versions: dict[str, str]


class Measured(Results):
    """What every run that measures models says.

    Attributes:
        data: Name of the data set.
        class_names: In the order of the logits.
        num_eval: Number of samples measured on.
        models: The models by role: student, teacher or teacher1, teacher2, ...
    """

    data: str
    class_names: list[str]
    num_eval: int
    models: dict[str, ModelFacts]


class Evaluation(Measured):
    """Of ``task=evaluate``: the accuracy in percent, and the SHA-256 of the weights."""

    student: str
    acc: float
    weights: str


class Pretraining(Evaluation):
    """Of ``task=pretrain``: what was measured, and how the model was trained."""

    seed: int
    epochs: int
    num_train: int


class Transfer(Measured):
    """Of ``task=transfer``, in percent of the samples measured on unless said otherwise.

    Beside these fields, the changes of every other network that learned (``teacher_transfer_delta``,
    ``teacher1_knowledge_gain``, ...), those without the guard (``unguarded_transfer_delta``, ...), and
    ``weights_teacher`` or ``weights_teacher1``, ``weights_teacher2``, ...

    Attributes:
        evaluated_on: ``val`` or ``holdout``.
        transfer_delta: ``acc_after - acc_before``, in points.
        transfer_delta_ci95: Its interval for paired predictions.
        mcnemar_p: Exact p-value of no change.
        transfer_rate: Percent of the complementary knowledge that the student now has; None if there was none.
        flip_entropy: Entropy in nats of the classes of the complementary knowledge.
        top20_classes: The fewest classes that hold 20% of it.
        teacher_share: Percent of the training samples that teachers taught; None without a router.
        teachers: The figures of each of several teachers.
        stages: Teacher, epochs and change of each stage of a schedule.
        average: The weight of each student in a soup.
        guard: What the guard tried and kept; None without one.
    """

    student: str
    teacher: str
    method: str
    schedule: str
    evaluated_on: str
    seed: int
    epochs: int
    num_train: int
    acc_before: float
    acc_teacher: float
    acc_ensemble: float
    acc_ensemble_mean: float
    acc_after: float
    transfer_delta: float
    transfer_delta_ci95: list[float]
    mcnemar_p: float
    knowledge_gain: float
    knowledge_loss: float
    complementary_knowledge: float
    transfer_rate: float | None
    flip_entropy: float
    top20_classes: list[str]
    teacher_share: float | None
    guard: dict[str, Any] | None
    weights_before: str
    weights_after: str
    teachers: NotRequired[list[dict[str, Any]]]
    stages: NotRequired[list[dict[str, Any]]]
    average: NotRequired[dict[str, float]]


KINDS: dict[str, type[Any]] = {"transfer": Transfer, "pretrain": Pretraining, "evaluate": Evaluation}
"""The fields by task; what is not here has those of `Results`."""


def problem(results: Any) -> str | None:
    """Return why ``results`` cannot be read as what this version writes, or None if they can."""
    if not isinstance(results, dict):
        return "results.json holds no fields"
    version = results.get("schema")
    if version != SCHEMA:
        return f"its results.json has schema {version}, and this version of ktlight reads schema {SCHEMA}"
    missing = KINDS.get(results.get("task", ""), Results).__required_keys__ - results.keys()
    return f"its results.json lacks {', '.join(sorted(missing))}" if missing else None
