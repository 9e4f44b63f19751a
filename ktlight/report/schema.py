"""The schema of ``results.json`` and its version, shared by writers and readers."""

from typing import Any, NotRequired, TypedDict

SCHEMA = 1
"""Incremented when a field changes its meaning or is removed, not when fields are added."""


class ModelFacts(TypedDict):
    """One model of a run; see `ktlight.models.facts.model_facts`.

    Attributes:
        name: The user's name for it.
        architecture: timm's name, or that of the user's own class.
        family: The module that defines it, such as ``vision_transformer``.
        parameters: Number of parameters.
        provenance: Where the weights came from.
        input_size: Channels, height and width; like the following, None if the data set prepares the images.
        crop_pct: Fraction of the resized image's side that the crop keeps.
        crop_mode: ``center``, ``squash`` or ``border``.
        interpolation: Of the resizing.
        mean: Of each channel.
        std: Of each channel.
        labels: How its classes are those of the data: ``how`` (``same``, ``permuted``, ``synset``, ``names``, ``file``,
            ``learned``, ``given``), whether its head was ``sliced`` by the map, and, unless they are the same, the
            number of its ``own_classes`` and of the data's ``classes``, what nameless ones were ``taken_for``, how many
            of the data's are ``covered``, which are ``missing`` and which ``ambiguous``, and the map's ``identity``.
        weights: SHA-256 of its weights; in a transfer, those before.
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
    labels: NotRequired[dict[str, Any]]
    weights: str


class Results(TypedDict):
    """Fields of every run.

    Attributes:
        schema: `SCHEMA` of the writer.
        task: Name of the task.
        seconds: Duration of each phase: load, before, train (in a pack, the run's own part), after, write.
        versions: Versions of the packages that figures depend on.
    """

    schema: int
    task: str
    seconds: dict[str, float]
    versions: dict[str, str]


class Measured(Results):
    """Fields of every run that evaluates models.

    Attributes:
        data: Name of the data set.
        class_names: In the order of the logits.
        num_eval: Number of evaluation samples.
        models: The models by role: student, teacher or teacher1, teacher2, ...
    """

    data: str
    class_names: list[str]
    num_eval: int
    models: dict[str, ModelFacts]


class Evaluation(Measured):
    """Fields of ``task=evaluate``: the accuracy in percent, and the SHA-256 of the weights."""

    student: str
    acc: float
    weights: str


class Pretraining(Evaluation):
    """Fields of ``task=pretrain``: the evaluation, and how the model was trained."""

    seed: int
    epochs: int
    num_train: int


class Transfer(Measured):
    """Fields of ``task=transfer``, in percent of the evaluation samples unless noted otherwise.

    Further fields: the changes of every other network that learned (``teacher_transfer_delta``,
    ``teacher1_knowledge_gain``, ...), those without the guard (``unguarded_transfer_delta``, ...), and
    ``weights_teacher`` or ``weights_teacher1``, ``weights_teacher2``, ...

    Attributes:
        evaluated_on: ``val`` or ``holdout``.
        part: The part of the student that learned: ``all``, also where there is no such field, or ``head``.
        batchnorm: Of each network that learned and has BatchNorm layers, whether it trained with the statistics it came
            with (``kept``), and what decided it; see `ktlight.stages.statistics.settle_statistics`. Where there is no
            such field, none did.
        transfer_delta: ``acc_after - acc_before``, in points.
        transfer_delta_ci95: Its interval for paired predictions.
        mcnemar_p: Exact p-value of no change.
        transfer_rate: Percentage of the complementary knowledge that the student now has; None if there was none.
        flip_entropy: Entropy in nats of the classes of the complementary knowledge.
        top20_classes: The fewest classes that hold 20% of it.
        has_teacher: Whether a teacher has a say, also where there is no such field; not in a control.
        teacher_share: Percentage of the training samples that teachers taught; None without a router.
        teachers: The figures of each of several teachers.
        stages: Teacher, epochs and change of each stage of a schedule.
        average: The weight of each student in a soup.
        guard: The points that the guard tried and the one it kept; None without a guard.
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
    part: NotRequired[str]
    batchnorm: NotRequired[dict[str, dict[str, Any]]]
    has_teacher: NotRequired[bool]
    teachers: NotRequired[list[dict[str, Any]]]
    stages: NotRequired[list[dict[str, Any]]]
    average: NotRequired[dict[str, float]]


class Discovered(Results):
    """Fields of ``task=discover``; `ktlight.report.discovery` describes its files, which have all figures.

    Attributes:
        data: Name of the data set.
        evaluated_on: ``val`` or ``holdout``.
        num_eval: Number of samples.
        num_train: Number of training images, all of them.
        weights: SHA-256 of the weights of each model that was asked.
        architectures: timm's name of each of them.
        given: The options of each model in the list: ``name`` (empty for ``zoo:NAME``), ``checkpoint`` and so on.
        failed: The models that were not, with the reason.
        best_pairs: The pairs to try.
        summary: The findings in sentences.
    """

    data: str
    evaluated_on: str
    num_eval: int
    num_train: int
    weights: dict[str, str]
    architectures: dict[str, str]
    given: dict[str, dict[str, Any]]
    failed: list[dict[str, str]]
    best_pairs: list[dict[str, Any]]
    summary: list[str]


KINDS: dict[str, type[Any]] = {
    "transfer": Transfer,
    "pretrain": Pretraining,
    "evaluate": Evaluation,
    "discover": Discovered,
}
"""The fields by task; other tasks have those of `Results`."""


def problem(results: Any) -> str | None:
    """Return why this version cannot read ``results``, or None if it can."""
    if not isinstance(results, dict):
        return "results.json holds no fields"
    version = results.get("schema")
    if version != SCHEMA:
        return f"its results.json has schema {version}, and this version of ktlight reads schema {SCHEMA}"
    missing = KINDS.get(results.get("task", ""), Results).__required_keys__ - results.keys()
    return f"its results.json lacks {', '.join(sorted(missing))}" if missing else None
