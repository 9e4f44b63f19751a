"""Where a run's processes are: started by torchrun or srun, or by this one.

Nothing here loads torch: the command line refuses what cannot work before anything is loaded.
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from omegaconf import DictConfig, ListConfig

from ktlight.errors import UserError

AUTO = "auto"
EVERY_DEVICE = (AUTO, -1, "-1")


class Started(NamedTuple):
    """The processes of one run that were started outside of it, one for each device.

    Attributes:
        by: The program that started them.
        per_node: Processes on each node.
        nodes: Number of nodes.
    """

    by: str
    per_node: int
    nodes: int


def started(environment: Mapping[str, str] = os.environ) -> Started | None:
    """Return the processes that torchrun or srun started this one among; None if it is alone.

    The script of a Slurm job, and a job of one task, are alone, though they have most of Slurm's variables too.

    Raises:
        UserError: If the nodes have different numbers of processes, or Slurm was not told how many there are on each.
    """
    if "TORCHELASTIC_RUN_ID" in environment:
        names = ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE")
        by, option = "torchrun", "--nproc-per-node"
    else:
        names = ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS_PER_NODE", "SLURM_STEP_NUM_NODES")
        by, option = "srun", "--ntasks-per-node"
    world, per_node, nodes = (int(environment.get(name, 1)) for name in names)
    if world == 1:
        return None
    if world != per_node * nodes:
        raise UserError(
            f"{by} started {world} processes on {nodes} {'node' if nodes == 1 else 'nodes'}, which is not "
            f"{option}={per_node}: give it the number of devices that each node has, {option}=DEVICES"
        )
    return Started(by, per_node, nodes)


def check_placement(trainer: DictConfig) -> None:
    """Raise `UserError` if the group ``trainer`` asks for other processes than were started."""
    there, nodes, devices = started(), trainer.num_nodes, counted(trainer.devices)
    if there is None:
        if nodes > 1:
            raise UserError(
                f"trainer.num_nodes={nodes}, but this process is alone; a run on several nodes is started on each: "
                f"torchrun --nnodes {nodes} --nproc-per-node DEVICES --rdzv-backend c10d --rdzv-endpoint HOST:29500 "
                f"run.py trainer=ddp ..., or srun --nodes={nodes} --ntasks-per-node=DEVICES python run.py trainer=ddp "
                "..."
            )
    elif is_alone(trainer):
        raise UserError(
            f"{there.by} started {there.per_node * there.nodes} processes, but trainer.devices=1 is a run of one: "
            f"add trainer=ddp, or start it without {there.by}"
        )
    elif devices not in (None, there.per_node) or nodes not in (1, there.nodes):
        raise UserError(
            f"trainer.devices={trainer.devices} and trainer.num_nodes={nodes}, but {there.by} started "
            f"{there.per_node} processes on each of {there.nodes} nodes: leave both options out"
        )


def resolved(trainer: DictConfig) -> tuple[Any, int]:
    """Return Lightning's ``devices`` and ``num_nodes`` of a checked config.

    A model that is trained on the spot is trained in one process, wherever the run's others are.
    """
    there = None if is_alone(trainer) else started()
    if there is None:
        return trainer.devices, trainer.num_nodes
    return there.per_node if counted(trainer.devices) is None else trainer.devices, there.nodes


def is_alone(trainer: DictConfig) -> bool:
    """Return whether the config is that of a training in one process, not of one of several."""
    return bool(trainer.strategy == AUTO and counted(trainer.devices) == 1)


def counted(devices: Any) -> int | None:
    """Return how many devices ``trainer.devices`` names; None for all there are, or what only Lightning can tell.

    >>> counted(2), counted([0, 3]), counted("0,3"), counted("auto")
    (2, 2, 2, None)
    """
    if devices in EVERY_DEVICE:
        return None
    if isinstance(devices, list | ListConfig):
        return len(devices)
    if isinstance(devices, str) and "," in devices:
        return len(devices.strip(",").split(","))
    return int(devices) if isinstance(devices, int) or (isinstance(devices, str) and devices.isdigit()) else None
