"""Valid values of a run's plain options; a part with a ``_target_`` declares its own in its signature."""

from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from ktlight.errors import UserError
from ktlight.limits import COUNT, COUNT_OR_NULL, NOT_NEGATIVE, POSITIVE, SEED, SHARE, Limit, check_value
from ktlight.models.spec import LABELS

ON_OFF = (True, False)

OPTIMIZATION: dict[str, Limit] = {
    "lr": NOT_NEGATIVE,
    "lr_batch": COUNT_OR_NULL,
    "lr_parameters": POSITIVE._replace(null=True),
    "warmup_epochs": NOT_NEGATIVE,
    "decay": ("constant", "cosine"),
    "optimizer.momentum": SHARE._replace(excluded=(1,)),
    "optimizer.weight_decay": NOT_NEGATIVE,
}
OPTIONS: dict[str, Limit] = {
    "seed": SEED,
    "data.canvas": COUNT_OR_NULL,
    "data.fraction": SHARE._replace(excluded=(0,)),
    "data.holdout": SHARE._replace(excluded=(1,)),
    "data.views": COUNT_OR_NULL,
    "data.batch_size": COUNT,
    "data.eval_batch_size": COUNT,
    "data.workers": NOT_NEGATIVE._replace(whole=True, null=True),
    "data.num_classes": COUNT_OR_NULL,
    "data.pretrain.max_images": NOT_NEGATIVE._replace(whole=True),
    "labels": LABELS,
    "student.img_size": COUNT_OR_NULL,
    "teacher.img_size": COUNT_OR_NULL,
    "student.labels": LABELS,
    "teacher.labels": LABELS,
    "compat.top_classes": COUNT_OR_NULL,
    "compat.mcl_top_classes": COUNT_OR_NULL,
    "recipe.epochs": COUNT,
    "recipe.steps": NOT_NEGATIVE._replace(whole=True),
    "recipe.max_steps": COUNT_OR_NULL,
    "recipe.warmup_epochs": NOT_NEGATIVE,
    "recipe.parameters": POSITIVE._replace(null=True),
    "schedule.total_epochs": COUNT_OR_NULL,
    "guard.steps": COUNT,
    "pretrain.epochs": COUNT,
    "pretrain.label_smoothing": SHARE,
    "pretrain.ema_decay": SHARE._replace(null=True),
    "store.top_k": COUNT_OR_NULL,
    "discovery.chosen": COUNT,
    "discovery.resamples": NOT_NEGATIVE._replace(whole=True),
    "discovery.labels": ON_OFF,
    "discovery.baseline": ON_OFF,
    "page.images": ON_OFF,
    "store.max_gb": POSITIVE._replace(null=True),
    "launcher.jobs": COUNT_OR_NULL,
    "launcher.cpus_per_job": COUNT_OR_NULL,
    "launcher.gpus_per_job": NOT_NEGATIVE._replace(null=True),
    "launcher.memory_gb": POSITIVE._replace(null=True),
    "launcher.minutes": COUNT,
    "trainer.num_nodes": COUNT,
    "trainer.max_epochs": COUNT_OR_NULL,
    "trainer.check_val_every_n_epoch": COUNT_OR_NULL,
    "trainer.checkpoint_every_seconds": NOT_NEGATIVE,
    "trainer.accumulate_grad_batches": COUNT,
    "trainer.gradient_clip_val": POSITIVE._replace(null=True),
    "resume": ON_OFF,
    "dry_run": ON_OFF,
    "sweep.retry": ("none", "failed"),
    "sweep.stop_after": COUNT_OR_NULL,
    "sweep.pack": COUNT,
    "zoo.all": ON_OFF,
    "data.skip_corrupt": ON_OFF,
    "trainer.channels_last": ON_OFF,
    "trainer.sync_batchnorm": ON_OFF,
    "trainer.deterministic": (True, False, "warn"),
    "trainer.progress": (True, False, "auto"),
    "data.evaluate_on": ("val", "holdout"),
    "pretrain.init": ("scratch", "hub"),
    "pretrain.part": ("all", "head"),
    "recommend.learn_from": COUNT,
    "recommend.views": COUNT,
    "recommend.steps": COUNT,
    "recommend.batch_size": COUNT,
    "recommend.lr_scale": POSITIVE,
    "transfer.part": ("all", "head"),
    "transfer.batchnorm": ("auto", "batch", "own"),
    "schedule.name": ("parallel", "sequential", "soup"),
    "guard.name": ("off", "rollback", "wise"),
    "schedule.order": ("given", "asc", "desc", "random"),
    "schedule.average": ("uniform", "greedy"),
    "store.mode": ("auto", "fill", "readonly", "off"),
    "status.watch": POSITIVE._replace(null=True),
    "status.failures": NOT_NEGATIVE._replace(whole=True, null=True),
    "zoo.action": ("list", "remove"),
    "store.action": ("fill", "prepare", "list", "verify", "prune"),
    "store.views": ON_OFF,
    **{f"{group}.{key}": limit for group in ("optim", "pretrain.optim") for key, limit in OPTIMIZATION.items()},
}
ABSENT = object()


def check_options(config: DictConfig) -> None:
    """Check the plain options of a composed config; options that a part does not have are skipped.

    Raises:
        UserError: If one has the wrong type or is out of range.
    """
    _check(config, OPTIONS)
    check_peers(config.optim.peers)


def check_peers(entries: Any) -> None:
    """Check ``optim.peers``, which is merged with ``optim`` later.

    Raises:
        UserError: If it is not a list of mappings, or a number is out of range.
    """
    if not isinstance(entries, ListConfig) or not all(isinstance(entry, DictConfig) for entry in entries):
        raise UserError("optim.peers must be a list of mappings, one a network, such as [{lr: 0.01}]")
    for number, entry in enumerate(entries):
        _check(entry, OPTIMIZATION, f"optim.peers[{number}].")


def _check(config: DictConfig, limits: dict[str, Limit], prefix: str = "") -> None:
    for key, limit in limits.items():
        value = OmegaConf.select(config, key, default=ABSENT)
        if value is not ABSENT:
            check_value(f"{prefix}{key}", value, limit)
