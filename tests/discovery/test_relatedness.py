"""Relatedness of pairs in blocks equals that of each, and ties among classes do not pretend any."""

import itertools
from statistics import fmean

import pytest
import torch

from ktlight.discovery.relatedness import RelatedClasses, closest

CLASSES = 30


def neighbours(classes: int = CLASSES) -> torch.Tensor:
    """Classes that are the more alike the nearer they are in the order of the data."""
    place = torch.arange(classes).float()
    return torch.exp(-(place[:, None] - place).abs() / 3)


def test_classes_with_equally_many_flips_are_not_taken_in_order() -> None:
    """With one image a class, every pair's counts are 0 or 1; the first of them would be neighbours."""
    generator = torch.Generator().manual_seed(0)
    related = RelatedClasses({"order": neighbours()}, models=6, seed=0)
    counts = (torch.rand(6, 6, CLASSES, generator=generator) < 0.7).int()
    related.add(counts, slice(0, 6))
    top = related.facts([str(c) for c in range(CLASSES)])["order"]["top"]
    for percent in ("20", "50"):
        low, high = top[percent]["band95"]
        assert low <= top[percent]["mean"] <= high


def test_related_classes_are_found() -> None:
    counts = torch.ones(3, 3, CLASSES, dtype=torch.int32)
    counts[..., 10:16] = 5  # these six hold half of all, any three of them a fifth
    related = RelatedClasses({"order": neighbours()}, models=3, seed=0)
    per_pair = related.add(counts, slice(0, 3))
    facts = related.facts([str(c) for c in range(CLASSES)])["order"]
    assert facts["top"]["50"]["mean"] > facts["top"]["50"]["band95"][1] and facts["top"]["50"]["ratio"] > 1
    everything = [float(neighbours()[a, b]) for a, b in itertools.combinations(range(CLASSES), 2)]
    assert facts["mean"] == pytest.approx(fmean(everything), abs=1e-6)
    six = [float(neighbours()[a, b]) for a, b in itertools.combinations(range(10, 16), 2)]
    assert facts["top"]["50"]["mean"] == pytest.approx(fmean(six), abs=1e-6)
    standardised = (facts["top"]["20"]["mean"] - facts["mean"]) / facts["deviation"]
    assert per_pair.flatten().tolist() == pytest.approx([standardised] * 9, abs=1e-5)


def test_blocks_add_up_and_a_baseline_does_not_count() -> None:
    generator = torch.Generator().manual_seed(1)
    counts = torch.randint(0, 5, (5, 5, CLASSES), generator=generator, dtype=torch.int32)
    names = [str(c) for c in range(CLASSES)]
    whole, blocks, alone = (RelatedClasses({"order": neighbours()}, models=4, seed=0) for _ in range(3))
    whole.add(counts, slice(0, 5))
    for start in range(0, 5, 2):
        blocks.add(counts[start : start + 2], slice(start, min(start + 2, 5)))
    alone.add(counts[:4, :4], slice(0, 4))
    expected = whole.facts(names)["order"]["top"]
    for other in (blocks, alone):
        found = other.facts(names)["order"]["top"]
        assert {p: found[p]["pairs"] for p in found} == {p: expected[p]["pairs"] for p in expected}
        for percent, top in expected.items():
            assert found[percent]["mean"] == pytest.approx(top["mean"], abs=1e-6)
            assert found[percent]["most"] == pytest.approx(top["most"], abs=1e-6)


def test_two_classes_have_no_relatedness() -> None:
    related = RelatedClasses({"order": neighbours(2)}, models=2, seed=0)
    assert related.add(torch.ones(2, 2, 2, dtype=torch.int32), slice(0, 2)).isnan().all()
    assert related.facts(["a", "b"]) == {}


def test_closest_classes_are_named_once() -> None:
    assert closest(torch.tensor([[1.0, 0.2, 0.9], [0.2, 1, 0.4], [0.9, 0.4, 1]]), ["a", "b", "c"]) == [
        ("a", "c", pytest.approx(0.9)), ("b", "c", pytest.approx(0.4)), ("a", "b", pytest.approx(0.2)),
    ]  # fmt: skip
