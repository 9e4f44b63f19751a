import pytest
import tiny
import torch
from torch.nn.functional import cross_entropy

from ktlight.errors import UserError
from ktlight.functional.standardization import standardize_logits
from ktlight.functional.targets import bidirectional_teacher
from ktlight.methods.bidirectional import BidirectionalDistillation


def bikd(count: int = 2, **options: object) -> BidirectionalDistillation:
    networks = [tiny.classifier(seed) for seed in range(count)]
    defaults = {"name": "bikd", "weight": 1.0, "detach": True, "own_views": False}
    return BidirectionalDistillation(networks, tiny.optimization(), **{**defaults, **options})  # type: ignore[arg-type]


def pairwise_loss(a: torch.Tensor, b: torch.Tensor, labels: torch.Tensor, detach: bool) -> torch.Tensor:
    """The published loss, sample by sample, for two networks."""
    total = cross_entropy(a, labels) + cross_entropy(b, labels)
    for row, label in enumerate(labels.tolist()):
        p_a, p_b = a[row].softmax(0), b[row].softmax(0)
        teacher, learner = (p_a, p_b) if p_a[label] > p_b[label] else (p_b, p_a)
        if detach:
            teacher = teacher.detach()
        total = total + (teacher * (teacher.log() - learner.log())).sum() / len(labels)
    return total


@pytest.mark.parametrize("detach", [True, False])
def test_loss_and_gradient_are_those_of_the_paper_and_of_its_code(detach: bool) -> None:
    method, batch = bikd(detach=detach), tiny.batch()
    logits = [network(batch["image"]).detach().requires_grad_() for network in method.networks]
    loss = torch.stack(list(method.terms(logits, batch).values())).sum()
    expected = pairwise_loss(logits[0], logits[1], batch["label"], detach)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, logits), torch.autograd.grad(expected, logits))


def test_of_three_networks_the_most_probable_teaches_the_others() -> None:
    method, batch = bikd(3), tiny.batch()
    logits = [network(batch["image"]).detach() for network in method.networks]
    terms = method.terms(logits, batch)
    expected = [0.0] * 3
    for row, label in enumerate(batch["label"].tolist()):
        probabilities = [each[row].double().softmax(0) for each in logits]
        teacher = max(range(3), key=lambda number: float(probabilities[number][label]))
        p = probabilities[teacher]
        for number in set(range(3)) - {teacher}:
            expected[number] += float((p * (p.log() - probabilities[number].log())).sum()) / len(batch["label"])
    assert [float(terms[f"soft_{number}"]) for number in range(3)] == pytest.approx(expected, rel=1e-4)


def test_the_last_network_teaches_on_a_tie() -> None:
    logits = torch.tensor([[[1.0, 0.0], [2.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]]])
    assert bidirectional_teacher(logits, torch.tensor([0, 0])).tolist() == [1, 0]


def test_of_three_networks_none_teaches_a_sample_on_a_tie_for_the_first_place() -> None:
    tie, other = [2.0, 0.0], [1.0, 0.0]
    logits = torch.tensor([[tie, tie, other, tie], [tie, other, tie, tie], [other, tie, [3.0, 0.0], tie]])
    labels = torch.zeros(4, dtype=torch.int64)
    assert bidirectional_teacher(logits, labels).tolist() == [-1, -1, 2, -1]
    learning = [each.requires_grad_() for each in logits.clone()]
    terms = bikd(3).terms(learning, {**tiny.batch(4), "label": labels})
    soft = torch.stack([terms[f"soft_{number}"] for number in range(3)]).sum()
    for gradient in torch.autograd.grad(soft, learning):
        assert (gradient[[0, 1, 3]] == 0).all()
    assert soft > 0


def test_the_teaching_side_is_chosen_by_the_logits_as_they_are() -> None:
    # Standardised, the first network is the surer one.
    logits = torch.tensor([[[0.2, 0.0, 0.0]], [[3.0, 1.0, 0.0]]])
    labels = torch.tensor([0])
    plain, standardised = (
        bikd(2, standardize_logits=on).terms(list(logits), {**tiny.batch(1), "label": labels}) for on in (False, True)
    )
    for terms in (plain, standardised):
        assert terms["soft_0"] > 0 and terms["soft_1"] == 0
    learner, teacher = (standardize_logits(each).double()[0] for each in logits)
    p, q = teacher.softmax(0), learner.softmax(0)
    assert float(standardised["soft_0"]) == pytest.approx(float((p * (p / q).log()).sum()), rel=1e-4)


def test_both_learn() -> None:
    method = bikd()
    before = [network.weights_hash() for network in method.networks]
    tiny.fit(method)
    assert all(network.weights_hash() != old for network, old in zip(method.networks, before, strict=True))


def test_one_network_alone_is_refused() -> None:
    with pytest.raises(UserError, match="method=bikd needs at least two networks"):
        bikd(1)
