import pytest
import tiny
import torch
from torch.nn.functional import cross_entropy

from ktlight.errors import UserError
from ktlight.methods.mutual import MutualLearning


def dml(count: int = 2, **options: float) -> MutualLearning:
    networks = [tiny.classifier(seed) for seed in range(count)]
    defaults = {"name": "dml", "weight": 1.0, "temperature": 1.0, "own_views": False}
    return MutualLearning(networks, tiny.optimization(lr=0.01), **{**defaults, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(("weight", "temperature"), [(1.0, 1.0), (0.5, 2.0)])
def test_the_loss_is_that_of_the_paper(count: int, weight: float, temperature: float) -> None:
    method, batch = dml(count, weight=weight, temperature=temperature), tiny.batch()
    logits = [network(batch["image"]) for network in method.networks]
    terms = method.terms(logits, batch)
    for mine in range(count):
        pulls = []
        for other in set(range(count)) - {mine}:
            p = (logits[other].double() / temperature).softmax(1)
            log_q = (logits[mine].double() / temperature).log_softmax(1)
            pulls.append(float((p * (p.log() - log_q)).sum(1).mean()) * temperature**2)
        assert float(terms[f"soft_{mine}"]) == pytest.approx(weight * sum(pulls) / len(pulls), rel=1e-4)
        assert float(terms[f"label_{mine}"]) == pytest.approx(float(cross_entropy(logits[mine], batch["label"])))


def test_what_teaches_is_a_constant_for_the_gradient() -> None:
    method, batch = dml(), tiny.batch()
    logits = [network(batch["image"]).detach().requires_grad_() for network in method.networks]
    terms = method.terms(logits, batch)
    own, foreign = torch.autograd.grad(terms["soft_0"], logits, allow_unused=True)
    assert (own != 0).any() and foreign is None


def test_networks_that_learn_from_each_other_agree_more() -> None:
    def disagreement(weight: float) -> float:
        method, batch = dml(3, weight=weight), tiny.batch(48)
        before = [network.weights_hash() for network in method.networks]
        tiny.fit(method, max_epochs=5)
        assert all(network.weights_hash() != old for network, old in zip(method.networks, before, strict=True))
        with torch.no_grad():
            stacked = torch.stack([network(batch["image"]).softmax(1) for network in method.networks])
        return float(stacked.std(0).mean())

    assert disagreement(5.0) < 0.9 * disagreement(0.0)


def test_one_network_alone_is_refused() -> None:
    with pytest.raises(UserError, match="method=dml needs at least two networks"):
        dml(1)
