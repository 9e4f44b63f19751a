import pytest

from ktlight.errors import UserError
from ktlight.models.spec import ModelConfig


def test_what_is_said_of_the_preprocessing():
    assert ModelConfig("v", "test_vit").preprocessing == {}
    said = ModelConfig("v", "test_vit", img_size=64, crop_pct=1.0, mean=0.5, std=[0.1, 0.2, 1]).preprocessing
    assert said == {"img_size": 64, "crop_pct": 1.0, "mean": (0.5, 0.5, 0.5), "std": (0.1, 0.2, 1.0)}


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("img_size", 0, "a whole number of pixels, at least 1"),
        ("crop_pct", 0.0, "above 0, at most 1"),
        ("crop_pct", 1.5, "above 0, at most 1"),
        ("mean", "half", "a number or three"),
        ("mean", [0.5, 0.5], "a number or three"),
        ("std", 0, "a number or three, above 0"),
        ("std", [0.1, 0.1, -1], "a number or three, above 0"),
        ("std", True, "a number or three, above 0"),
    ],
)
def test_values_that_an_option_cannot_take(option, value, wanted):
    with pytest.raises(UserError, match=rf"v: {option}=.* must be {wanted}"):
        ModelConfig("v", "test_vit", **{option: value})
