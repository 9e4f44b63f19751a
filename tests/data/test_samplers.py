import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktlight.data.samplers import PLAIN_VIEW, OrderedBatches, TrainBatches, train_steps
from ktlight.errors import UserError

sizes = st.tuples(st.integers(1, 80), st.integers(1, 9), st.integers(1, 5))


@given(sizes, st.integers(0, 5))
def test_ranks_together_are_one_process(size, epoch):
    count, batch_size, world_size = size
    rows = np.arange(count) * 3
    one = TrainBatches(rows, batch_size * world_size, seed=7, views=None)
    ranks = [TrainBatches(rows, batch_size, 7, None, rank, world_size) for rank in range(world_size)]
    for sampler in [one, *ranks]:
        sampler.set_epoch(epoch)
    steps = list(zip(*ranks, strict=True))  # strict: equal numbers of batches
    assert len(steps) == len(ranks[0]) == train_steps(count, batch_size, world_size)
    left_out = count
    for (view, whole), parts in zip(one, steps, strict=False):
        together = np.concatenate([part for _, part in parts])
        assert {part_view for part_view, _ in parts} == {view} == {epoch}
        assert len({len(part) for _, part in parts}) == 1
        np.testing.assert_array_equal(together, whole[: len(together)])
        left_out -= len(together)
    assert 0 <= left_out < world_size


@given(st.integers(1, 50), st.integers(1, 9), st.integers(0, 5))
def test_one_process_sees_every_row_once(count, batch_size, epoch):
    sampler = TrainBatches(np.arange(count), batch_size, seed=0, views=2)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    np.testing.assert_array_equal(np.sort(np.concatenate([rows for _, rows in batches])), np.arange(count))
    assert {view for view, _ in batches} == {epoch % 2}


@given(sizes)
def test_evaluation_deals_every_row_once_in_equally_many_batches(size):
    count, batch_size, world_size = size
    if count < world_size:
        return
    ranks = [list(OrderedBatches(np.arange(count), batch_size, rank, world_size)) for rank in range(world_size)]
    assert len({len(batches) for batches in ranks}) == 1
    dealt = [rows for batches in ranks for _, rows in batches]
    assert all(len(rows) for rows in dealt)
    assert max(len(rows) for rows in dealt) <= batch_size + (world_size > 1)
    assert sorted(np.concatenate(dealt)) == list(range(count))
    assert {view for batches in ranks for view, _ in batches} == {PLAIN_VIEW}


def test_fewer_rows_than_processes():
    with pytest.raises(UserError, match="fewer devices"):
        OrderedBatches(np.arange(2), 8, rank=0, world_size=3)
