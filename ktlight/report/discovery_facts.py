"""The fields of ``discovery.json`` and the version of the schema of all files of a discovery."""

from typing import Any, TypedDict

DISCOVERY = 1
"""Incremented when a field or a column changes its meaning or is removed, not when one is added."""


class Related(TypedDict):
    """How related the top-p% classes are, by one similarity, over all pairs that have at least two such classes.

    Of classes with equally many flips, those that still fit are drawn at random.

    Attributes:
        pairs: Number of those pairs.
        mean: Mean similarity among the top classes of a pair, averaged over the pairs.
        standardised: The same, in standard deviations above the mean of all pairs of classes.
        ratio: ``mean`` over the mean of all pairs of classes; null for similarities that can be negative.
        most: Greatest similarity of two top classes, averaged over the pairs.
        band95: Where 95% of ``mean`` are if the classes are permuted at random.
    """

    pairs: int
    mean: float
    standardised: float
    ratio: float | None
    most: float
    band95: tuple[float, float]


class Similarity(TypedDict):
    """Relatedness by one similarity of classes: ``classifier weights``, ``confusions`` or the user's ``file``.

    Attributes:
        mean: Over all pairs of different classes.
        deviation: Its standard deviation.
        top: `Related` by p, as a string.
        closest: The most similar pairs of classes, names and similarity.
    """

    mean: float
    deviation: float
    top: dict[str, Related]
    closest: list[tuple[str, str, float]]


class Concentration(TypedDict):
    """Where positive flips lie, over all pairs that have any.

    Attributes:
        pairs: Number of those pairs.
        flip_entropy: Median, in nats.
        num_top_classes: Median number of top-p% classes, by p as a string.
        chance_flips: The median number of positive flips, in samples.
        chance_entropy: Entropy of so many samples drawn at random, on average: what any few samples would show.
        chance_num_top_classes: The same for the number of top-p% classes.
    """

    pairs: int
    flip_entropy: float
    num_top_classes: dict[str, float]
    chance_flips: int
    chance_entropy: float
    chance_num_top_classes: dict[str, float]


class Facts(TypedDict):
    """The fields of ``discovery.json``.

    Attributes:
        schema: `DISCOVERY` of the writer.
        data: Name of the data set.
        evaluated_on: ``val`` or ``holdout``.
        labels: Whether the labels were used.
        num_eval: Number of samples.
        class_names: In the order of the labels.
        named_classes: Whether the classes have names other than their numbers.
        models: Names of the models that were asked, in the order of the user; the baseline comes last.
        baseline: Name of the randomly initialised model among them, if any.
        failed: ``model`` and ``reason`` of those that were not asked.
        intervals: How intervals of positive flips were computed, in words.
        best_pairs: The pairs to try: rows of ``pairs.parquet``, most positive flips first, a student once.
        concentration: See `Concentration`; null without positive flips.
        coverage: Greedy choice: ``model``, and ``covered`` (percent of the samples that any model so far is right on).
        coverage_of_all: The same for all models together.
        duplicates: Near duplicates: ``first``, ``second``, and their ``consistency``.
        duplicate_threshold: Error consistency (without labels: share of agreement) from which two models are near
            duplicates.
        expertise: ``model``, ``count`` of its classes of expertise, and up to 5 of them (``classes``, best first).
        relatedness: `Similarity` by name, the one in ``pairs.parquet`` first; empty without labels.
        images: ``count`` and ``bytes`` of the thumbnails, the ``budget`` in bytes, and ``missing``, those beyond it.
        summary: The findings in sentences.
    """

    schema: int
    data: str
    evaluated_on: str
    labels: bool
    num_eval: int
    class_names: list[str]
    named_classes: bool
    models: list[str]
    baseline: str | None
    failed: list[dict[str, str]]
    intervals: str
    best_pairs: list[dict[str, Any]]
    concentration: Concentration | None
    coverage: list[dict[str, Any]]
    coverage_of_all: float | None
    duplicates: list[dict[str, Any]]
    duplicate_threshold: float
    expertise: list[dict[str, Any]]
    relatedness: dict[str, Similarity]
    images: dict[str, int]
    summary: list[str]
