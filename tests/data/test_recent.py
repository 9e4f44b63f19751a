import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ktlight.data.recent import RecentlyUsed


def test_those_used_last_are_kept():
    loads = []
    values = RecentlyUsed(lambda key: loads.append(key) or "x" * key, len, 10)
    for key in (4, 5, 4, 3, 4, 5):  # the third pushes out 5, which was used least recently
        assert values[key] == "x" * key
    assert loads == [4, 5, 3, 5]
    assert len(values[100]) == 100 and len(values[100]) == 100
    assert loads == [4, 5, 3, 5, 100]
    assert values[4] == "xxxx" and loads[-1] == 4


def test_threads_wait_for_the_one_that_loads():
    loads = []

    def load(key):
        loads.append(key)
        time.sleep(0.05)
        return key

    values = RecentlyUsed(load, lambda _: 1, 100)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(values.__getitem__, [1, 2] * 8)) == [1, 2] * 8
    assert sorted(loads) == [1, 2]


def test_a_failure_is_not_kept():
    answers = iter([ValueError("no"), 7])

    def load(_):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    values = RecentlyUsed(load, lambda _: 1, 100)
    with pytest.raises(ValueError, match="no"):
        values[0]
    assert values[0] == 7


def length(value):
    return len(value)


def double(key):
    return 2 * key


def test_a_copy_for_another_process_starts_empty():
    values = RecentlyUsed(double, length, 10)
    assert values["ab"] == "abab"
    assert pickle.loads(pickle.dumps(values))["c"] == "cc"
