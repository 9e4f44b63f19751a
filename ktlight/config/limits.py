"""What the options of a run may be, checked before anything is loaded or written."""

from math import inf
from typing import Any, NamedTuple

from omegaconf import DictConfig, ListConfig, OmegaConf

from ktlight.errors import UserError


class Number(NamedTuple):
    """The numbers that an option takes: from ``least`` to ``most``, without those in ``excluded``."""

    least: float = -inf
    most: float = inf
    whole: bool = False
    null: bool = False
    excluded: tuple[float, ...] = (inf, -inf)

    def holds(self, value: Any) -> bool:
        """Return whether ``value`` is one of them."""
        if value is None:
            return self.null
        types = int if self.whole else int | float
        return (
            isinstance(value, types)
            and not isinstance(value, bool)
            and self.least <= value <= self.most
            and value not in self.excluded
        )

    def __str__(self) -> str:
        parts = []
        if self.least > -inf:
            parts.append(f"{'above' if self.least in self.excluded else 'at least'} {self.least}")
        if self.most < inf:
            parts.append(f"{'below' if self.most in self.excluded else 'at most'} {self.most}")
        return f"a {'whole ' * self.whole}number, {' and '.join(parts)}{', or null' * self.null}"


COUNT = Number(least=1, whole=True)
COUNT_OR_NULL = Number(least=1, whole=True, null=True)
SHARE = Number(least=0, most=1)
PART = Number(least=0, most=1, excluded=(1,))
POSITIVE = Number(least=0, excluded=(0, inf))
NOT_NEGATIVE = Number(least=0)

OPTIMIZATION = {
    "lr": NOT_NEGATIVE,
    "lr_batch": COUNT_OR_NULL,
    "lr_parameters": Number(least=0, null=True, excluded=(0, inf)),
    "warmup_epochs": NOT_NEGATIVE,
    "optimizer.momentum": PART,
    "optimizer.weight_decay": NOT_NEGATIVE,
}
NUMBERS = {
    "seed": Number(least=0, most=2**32 - 1, whole=True),
    "data.canvas": COUNT_OR_NULL,
    "data.fraction": Number(least=0, most=1, excluded=(0,)),
    "data.holdout": PART,
    "data.views": COUNT_OR_NULL,
    "data.batch_size": COUNT,
    "data.eval_batch_size": COUNT,
    "data.workers": Number(least=0, whole=True, null=True),
    "data.num_classes": COUNT_OR_NULL,
    "data.augment.padding": SHARE,
    "data.pretrain.max_images": Number(least=0, whole=True),
    "student.img_size": COUNT_OR_NULL,
    "teacher.img_size": COUNT_OR_NULL,
    "method.mixing": SHARE,
    "method.temperature": POSITIVE,
    "method.weight": NOT_NEGATIVE,
    "method.beta": NOT_NEGATIVE,
    "method.alpha": NOT_NEGATIVE,
    "method.gamma": NOT_NEGATIVE,
    "method.dimensions": COUNT,
    "method.negatives": COUNT,
    "method.contrast_temperature": POSITIVE,
    "method.momentum": SHARE,
    "method.bank_gb": POSITIVE,
    "method.top_classes": COUNT_OR_NULL,
    "compat.top_classes": COUNT_OR_NULL,
    "compat.mcl_top_classes": COUNT_OR_NULL,
    "recipe.epochs": COUNT,
    "recipe.steps": Number(least=0, whole=True),
    "schedule.total_epochs": COUNT_OR_NULL,
    "guard.steps": COUNT,
    "router.temperature": POSITIVE,
    "router.share": SHARE,
    "router.seed": Number(least=0, most=2**32 - 1, whole=True),
    "restraint.tau": SHARE,
    "restraint.samples": COUNT,
    "pretrain.epochs": COUNT,
    "pretrain.label_smoothing": SHARE,
    "pretrain.ema_decay": Number(least=0, most=1, null=True),
    "store.top_k": COUNT_OR_NULL,
    "store.max_gb": Number(least=0, null=True, excluded=(0, inf)),
    "trainer.num_nodes": COUNT,
    "trainer.max_epochs": COUNT_OR_NULL,
    "trainer.check_val_every_n_epoch": COUNT_OR_NULL,
    "trainer.checkpoint_every_seconds": NOT_NEGATIVE,
    "trainer.accumulate_grad_batches": COUNT,
    "trainer.gradient_clip_val": Number(least=0, null=True, excluded=(0, inf)),
    **{f"{group}.{key}": number for group in ("optim", "pretrain.optim") for key, number in OPTIMIZATION.items()},
}
SWITCHES = (
    "resume",
    "zoo.all",
    "data.augment.flip",
    "data.skip_corrupt",
    "method.update_teacher",
    "router.use_labels",
    "method.own_views",
    "method.detach",
    "method.double_softmax",
    "restraint.average_buffers",
    "trainer.channels_last",
)
CHOICES: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(SWITCHES, (True, False)),
    "trainer.deterministic": (True, False, "warn"),
    "trainer.progress": (True, False, "auto"),
    "data.evaluate_on": ("val", "holdout"),
    "optim.decay": ("constant", "cosine"),
    "pretrain.optim.decay": ("constant", "cosine"),
    "pretrain.init": ("scratch", "hub"),
    "pretrain.part": ("all", "head"),
    "schedule.order": ("given", "asc", "desc", "random"),
    "schedule.average": ("uniform", "greedy"),
    "store.mode": ("auto", "fill", "readonly", "off"),
    "zoo.action": ("list", "remove"),
    "store.action": ("fill", "list", "verify", "prune"),
}
ABSENT = object()


def check_options(config: DictConfig) -> None:
    """Check the numbers and choices of a composed config; a part that lacks one of them has no use for it.

    Raises:
        UserError: One of them is of another type or out of its range.
    """
    _check_numbers(config, NUMBERS)
    check_peers(config.optim.peers)
    for key, choices in CHOICES.items():
        value = OmegaConf.select(config, key, default=ABSENT)
        if value is not ABSENT and value not in choices:
            raise UserError(f"{key}={_shown(value)} must be {' or '.join(map(_shown, choices))}")


def check_peers(entries: Any) -> None:
    """Check what ``optim.peers`` says, which is merged with ``optim`` later.

    Raises:
        UserError: It is no list of mappings, or a number is out of its range.
    """
    if not isinstance(entries, ListConfig) or not all(isinstance(entry, DictConfig) for entry in entries):
        raise UserError("optim.peers must be a list of mappings, one a network, such as [{lr: 0.01}]")
    for number, entry in enumerate(entries):
        _check_numbers(entry, OPTIMIZATION, f"optim.peers[{number}].")


def _check_numbers(config: DictConfig, numbers: dict[str, Number], prefix: str = "") -> None:
    for key, number in numbers.items():
        value = OmegaConf.select(config, key, default=ABSENT)
        if value is not ABSENT and not number.holds(value):
            raise UserError(f"{prefix}{key}={_shown(value)} must be {number}")


def _shown(value: Any) -> str:
    """Return a value as it is typed on the command line."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
