from pathlib import Path

from ktlight.publication.sweep.collection import collect
from ktlight.publication.sweep.findings import findings
from tests.publication.grid import DELTAS, write_grid


def told(root: Path) -> str:
    return "\n".join(findings(collect([root])))


def test_what_helped_and_how_sure(tmp_path: Path) -> None:
    pairs = {(t, s): [2.0, 2.1, 2.2] for t in "abc" for s in "abc" if t != s}
    write_grid(tmp_path, {"kl_dp": pairs, "kl": {pair: [-2.0, -2.1] for pair in pairs}})
    text = told(tmp_path)
    assert "30 transfers on digits, 1437 samples: 2 methods, 3 teachers, 3 students, 3 seeds." in text
    assert "Helped, on average: kl_dp +2.10 points" in text and "6 pairs, of which 6 better and 0 worse" in text
    assert "Made students worse, on average: kl -2.05 points" in text and "success 0%" in text
    assert "kl_dp against the others, on the pairs that both have: +4.15 over kl" in text
    assert "Largest gain: [a to b](#pair=a,b) with kl_dp, +2.10 points; the best of 12, which flatters it." in text
    assert "Incomplete: 6 of the runs" in text  # kl has no third seed


def test_few_models_have_no_interval_but_a_verdict_of_every_pair(tmp_path: Path) -> None:
    pairs = {("a", "b"): [2.0, 3.0], ("b", "a"): [4.0]}
    write_grid(tmp_path, {"kl": pairs, "kl_dp": {pair: [-4.0] for pair in pairs}})
    text = told(tmp_path)
    assert "Helped in every pair: kl +3.25 points (no interval" in text
    assert "Made students worse in every pair: kl_dp -4.00 points" in text


def test_a_mean_over_other_pairs_is_not_compared_silently(tmp_path: Path) -> None:
    deltas = {method: dict(pairs) for method, pairs in DELTAS.items()}
    del deltas["kl"]["c", "a"]
    text = told(write_grid(tmp_path / "some", deltas))
    assert "(kl c a 0; kl c a 1)" in text and "over the 3 pairs that all methods have: kl_dp +1.83; kl +0.83." in text
    deltas = {"kl": {("a", "b"): [1.0]}, "kl_dp": {("b", "a"): [1.0]}}
    assert "no pair has all methods, so their means do not compare" in told(write_grid(tmp_path / "none", deltas))


def test_of_many_methods_the_best_are_told(tmp_path: Path) -> None:
    names = ["kl", "kl_dp", "xe_kl", "cd", "crd"]
    write_grid(tmp_path, {name: {("a", "b"): [2.0 + rank]} for rank, name in enumerate(names)})
    text = told(tmp_path)
    assert "Helped, on average: crd +6.00" in text and "xe_kl +4.00" in text and "kl_dp +3.00" not in text
    assert "+1.00 over cd (1 pair); +2.00 over xe_kl (1 pair); +3.00 over kl_dp (1 pair); and 1 more, in the" in text


def test_within_noise_repeats_and_what_cannot_be_read(tmp_path: Path) -> None:
    write_grid(tmp_path)
    write_grid(tmp_path / "again")
    write_grid(tmp_path / "ensemble", {"ensemble": {("a", "b"): [9.0]}}, epochs=0)
    write_grid(tmp_path / "other", data="cifar10")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "results.json").write_text("{")
    text = told(tmp_path)
    assert "2 different sets of samples" in text
    assert "Not clear: kl_dp +1.41 points (no interval of the mean: it takes three teachers or students;" in text
    assert "16 runs repeat another to the last bit" in text and "1 run of methods without training" in text
    assert f"Could not be read, 1 in all: {tmp_path / 'broken'} (its results.json is no JSON)." in text
