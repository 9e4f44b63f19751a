import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedShuffleSplit

from ktlight.data.subset import stratified_subset
from ktlight.errors import UserError


@given(st.floats(0.1, 0.9), st.integers(2, 5), st.integers(20, 60), st.integers(0, 100))
def test_equals_scikit_learns_split(fraction, classes, per_class, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(classes), per_class))
    split = StratifiedShuffleSplit(n_splits=1, test_size=fraction, random_state=1234)
    _, expected = next(split.split(labels, labels))
    np.testing.assert_array_equal(stratified_subset(labels, fraction), sorted(expected))


def test_count_is_rounded_up_as_in_the_paper():
    """1,281,167 / 10 gave the paper 128,117 images, one more than rounding down."""
    labels = np.arange(1281167) % 1000
    assert len(stratified_subset(labels, 0.1)) == 128117


def test_classes_keep_their_shares():
    labels = np.repeat(np.arange(3), [100, 200, 700])
    assert np.bincount(labels[stratified_subset(labels, 0.1)]).tolist() == [10, 20, 70]


def test_whole_split():
    np.testing.assert_array_equal(stratified_subset(np.zeros(7, np.int64), 1.0), np.arange(7))


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.5, float("nan")])
def test_fraction_out_of_range(fraction):
    with pytest.raises(UserError, match=r"Cannot draw a stratified fraction of .* Choose another one"):
        stratified_subset(np.arange(10), fraction)


def test_fraction_too_small_for_the_classes():
    with pytest.raises(UserError, match=r"fraction of 0\.1 from 20 samples.*Choose another"):
        stratified_subset(np.repeat(np.arange(10), 2), 0.1)
