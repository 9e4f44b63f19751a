"""What does not go together is said before anything is computed."""

import pytest
import tiny
from torch import nn

from ktlight.errors import UserError
from ktlight.models.classifier import Classifier
from ktlight.stages.checks import check_method


def of_classes(count: int) -> Classifier:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * tiny.SIZE**2, count))
    return Classifier(network, tiny.Scale(), name="tiny", architecture="tiny", num_classes=count)


def check(*overrides: str, classes: int = 30) -> None:
    models = {"student": of_classes(classes), "teacher": of_classes(classes)}
    check_method(tiny.config(*overrides), models)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["router=entropy"], "the router compares what all logits say, but store.top_k=10 keeps"),
        (["router=calibrated"], "the router compares what all logits say"),
        (["router=entropy_weights"], "the router compares what all logits say"),
        (["router=soft", "router.calibrate=true"], "the router compares what all logits say"),
        (["router=pooled"], "the router compares what all logits say"),
        (["method.top_classes=20"], "the loss goes over the 20 largest classes of the target, but store.top_k=10"),
        (["method.standardize_logits=true"], "method=kl_dp method.standardize_logits=true depends on all logits of"),
    ],
)
def test_what_is_kept_of_the_logits_must_decide_as_all_of_them(options: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        check("method=kl_dp", "store.top_k=10", *options)
    check("method=kl_dp", "store.top_k=10", "store=off", *options)
    check("method=kl_dp", *options)
    check("method=kl_dp", "store.top_k=10", *options, classes=20)  # all are kept: that takes no more room


def test_camkd_needs_labels() -> None:
    check("method=kl", "router=camkd")
    with pytest.raises(UserError, match="without labels use router=entropy_weights"):
        check("method=kl", "router=camkd", "router.use_labels=false")


@pytest.mark.parametrize(
    "options",
    [
        ["router=most_confident"],
        ["router=most_confident_unsup"],
        ["router=margin"],
        ["router=margin", "router.calibrate=true"],
        ["router=most_confident", "router.expertise=true"],
        ["router=soft"],
        ["router=classwise"],
        ["method.top_classes=10"],
        ["method.top_classes=1000"],  # all there are
    ],
)
def test_routers_and_losses_that_look_at_what_is_kept(options: list[str]) -> None:
    check("method=kl_dp", "store.top_k=10", *options)


@pytest.mark.parametrize("method", ["dkd", "dist", "wttm", "ofa"])
def test_losses_that_depend_on_all_logits(method: str) -> None:
    with pytest.raises(UserError, match=f"the loss of method={method} depends on all logits of the target, but store"):
        check(f"method={method}", "store.top_k=10")
    check(f"method={method}", "store.top_k=10", "store=off")


def test_samples_of_a_batch_of_one_cannot_be_related() -> None:
    with pytest.raises(UserError, match=r"method=dist relates the samples of a batch .* of 1: use data\.batch_size=2"):
        check("method=dist", "data.batch_size=1")
    check("method=dist", "data.batch_size=2")
    check("method=dist", "data.batch_size=1", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
    check("method=dkd", "data.batch_size=1")


@pytest.mark.parametrize(
    ("method", "says"),
    [("dml", "method=dml lets the networks teach each other"), ("label_smoothing", "learns from the labels alone")],
)
def test_a_router_where_nothing_is_routed(method: str, says: str) -> None:
    with pytest.raises(UserError, match=rf"{says}, so there is nothing to route: use it with router=none"):
        check(f"method={method}", "router=soft")


def test_no_statistics_of_batches_are_none_of_all_batches_either() -> None:
    with pytest.raises(UserError, match=r"transfer\.batchnorm=own takes none of any batch: leave one of them out"):
        check("transfer.batchnorm=own", "trainer.sync_batchnorm=true")
