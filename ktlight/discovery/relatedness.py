"""How related the top classes of pairs are, collected in blocks of teachers."""

from collections.abc import Mapping, Sequence
from math import inf, nan

import torch
from torch import Tensor

from ktlight.functional.class_flips import top_class_sets
from ktlight.functional.relatedness import (
    greatest_similarity,
    mean_similarity,
    pair_weights,
    permuted_means,
    scale_of,
)
from ktlight.report.discovery import TOP_PERCENTS
from ktlight.report.discovery_facts import Related, Similarity

DRAWS = 1000
"""Permutations of the classes."""
SAMPLED = 2000
"""Pairs of models, at most, over which the greatest similarity is averaged."""
CLOSEST = 10
LISTED = TOP_PERCENTS.index(20)


class RelatedClasses:
    """Sums over pairs of models of how similar their top-p% classes are.

    Which of several classes with equally many flips belong is drawn at random, once for all pairs: neighbours in the
    order of a data set are often related (ImageNet's follow WordNet), so taking the first would find what it looks for.

    Args:
        similarities: Similarities of classes by name; the first is the one of ``pairs.parquet``.
        models: How many models count, the first ones; a random baseline comes after them.
        seed: Of what is drawn at random.
    """

    def __init__(self, similarities: Mapping[str, Tensor], models: int, seed: int) -> None:
        scales = {name: scale_of(similarity) for name, similarity in similarities.items()}
        self.scales = {name: scale for name, scale in scales.items() if scale.deviation > 0}  # two classes have none
        self.similarities = {name: similarities[name] for name in self.scales}
        self.models, self.seed = models, seed
        classes = len(next(iter(similarities.values()), ()))
        self._order = torch.randperm(classes, generator=torch.Generator().manual_seed(seed))
        self._shuffled = {name: each[self._order][:, self._order] for name, each in self.similarities.items()}
        self.step = max(1, models * models // SAMPLED)
        self._weights: list[Tensor | float] = [0.0] * len(TOP_PERCENTS)
        self._pairs = [0] * len(TOP_PERCENTS)
        self._greatest: dict[str, list[list[Tensor]]] = {name: [[] for _ in TOP_PERCENTS] for name in similarities}

    def add(self, counts_TMC: Tensor, teachers: slice) -> Tensor:
        """Add the positive flips of a block of teachers over all students, ``int32 [T, M, C]``.

        Returns:
            Relatedness of the top-20% classes by the first similarity, in standard deviations above the mean of all
            pairs of classes, ``[T, M]``; NaN where there are fewer than two such classes.
        """
        shape = counts_TMC.shape[:2]
        if not self.similarities:
            return torch.full(shape, nan, dtype=torch.float64)
        masks = [top.mask for top in top_class_sets(counts_TMC[..., self._order], TOP_PERCENTS)]
        known = max(0, min(teachers.stop, self.models) - teachers.start)
        for number, mask in enumerate(masks):
            counted = mask[:known, : self.models].flatten(0, 1)
            self._weights[number] = self._weights[number] + pair_weights(counted)
            self._pairs[number] += int((counted.sum(1) > 1).sum())
            sampled = counted[:: self.step]
            for name, similarity in self._shuffled.items():
                self._greatest[name][number].append(greatest_similarity(similarity, sampled))
        first, scale = next(iter(self._shuffled.values())), next(iter(self.scales.values()))
        mean = mean_similarity(first, masks[LISTED].flatten(0, 1)).view(shape)
        return (mean - scale.mean) / scale.deviation

    def facts(self, class_names: Sequence[str]) -> dict[str, Similarity]:
        """Return how related the top classes of all pairs are, by similarity."""
        return {
            name: {
                "mean": self.scales[name].mean,
                "deviation": self.scales[name].deviation,
                "top": self._top(name),
                "closest": closest(similarity, class_names),
            }
            for name, similarity in self.similarities.items()
        }

    def _top(self, name: str) -> dict[str, Related]:
        similarity, scale = self._shuffled[name], self.scales[name]
        known = [number for number, pairs in enumerate(self._pairs) if pairs]
        weights = [torch.as_tensor(self._weights[number]) / self._pairs[number] for number in known]
        if not known:
            return {}
        means = [float((similarity.nan_to_num(0).double() * weight).sum()) for weight in weights]
        permuted = permuted_means(similarity, weights, DRAWS, self.seed)
        bands = torch.quantile(permuted, torch.tensor([0.025, 0.975], dtype=torch.float64), 0)
        return {
            str(TOP_PERCENTS[number]): {
                "pairs": self._pairs[number],
                "mean": mean,
                "standardised": (mean - scale.mean) / scale.deviation,
                "ratio": mean / scale.mean if float(similarity.nan_to_num(0).min()) >= 0 else None,
                "most": float(torch.cat(self._greatest[name][number]).nanmean()),
                "band95": (float(band[0]), float(band[1])),
            }
            for number, mean, band in zip(known, means, bands.T, strict=True)
        }


def closest(similarity_CC: Tensor, class_names: Sequence[str]) -> list[tuple[str, str, float]]:
    """Return the most similar pairs of different classes."""
    below = torch.ones_like(similarity_CC, dtype=torch.bool).tril(-1)
    apart = similarity_CC.where(below & ~similarity_CC.isnan(), -torch.inf).flatten()
    values, places = apart.topk(min(CLOSEST, len(apart)))
    found = [
        (*divmod(place, len(class_names)), value) for place, value in zip(places.tolist(), values.tolist(), strict=True)
    ]
    return [(class_names[other], class_names[one], value) for one, other, value in found if value > -inf]
