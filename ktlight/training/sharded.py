"""The strategy ``fsdp``: networks that learn are spread over the processes, and checkpoints are whole."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.strategies import ModelParallelStrategy, Strategy
from omegaconf import DictConfig
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.utils._pytree import tree_map

from ktlight.errors import UserError
from ktlight.methods.optimization import parts_of
from ktlight.models.sharding import part_like, whole

FSDP = "fsdp"
PRECISIONS = ("32-true", "bf16-mixed")


def sharded(options: DictConfig, precision: str) -> "Sharded":
    """Return the strategy for the group ``trainer``.

    Raises:
        UserError: If another option does not work with it.
    """
    if precision not in PRECISIONS:
        raise UserError(
            f"trainer.precision={precision}: trainer=fsdp keeps float32 weights, so use {' or '.join(PRECISIONS)}"
        )
    if options.compile:
        raise UserError(
            f"trainer.compile={options.compile}: a compiled step is one graph, which trainer=fsdp breaks: leave it out"
        )
    return Sharded()


class Sharded(ModelParallelStrategy):
    """Lightning's strategy for FSDP2 with one checkpoint file, the same as that of any other strategy.

    The method divides its own networks; see `TransferMethod.configure_model`. The file holds whole tensors, gathered
    one by one in the first process's memory, so a run goes on with any number of processes.
    """

    def setup_environment(self) -> None:
        """Divide each network among all processes."""
        self._data_parallel_size, self._tensor_parallel_size = self.num_nodes * self.num_processes, 1
        super().setup_environment()

    @property
    def restore_checkpoint_after_setup(self) -> bool:
        """The networks are divided by then, and callbacks are restored before they start."""
        return False

    @property
    def lightning_restore_optimizer(self) -> bool:
        """The optimisers' state is in the same file."""
        return True

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Return the state, still divided."""
        return Strategy.lightning_module_state_dict(self)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the state, still divided."""
        return Strategy.optimizer_state(self, optimizer)

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None) -> None:
        """Gather the checkpoint; the first process writes it."""
        Strategy.save_checkpoint(self, tree_map(self._kept, checkpoint), filepath, storage_options)

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """Read the file, in every process."""
        return Strategy.load_checkpoint(self, checkpoint_path, weights_only)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Give every process its part of the weights."""
        module = self.lightning_module
        assert module is not None
        own = module.state_dict()
        state = {name: part_like(value, own[name]) for name, value in checkpoint["state_dict"].items()}
        module.load_state_dict(state, strict=strict)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Give every process its part of the optimiser's state."""
        (optimizer,), (state,) = self.optimizers, checkpoint["optimizer_states"]
        parts = parts_of(optimizer)
        states = state["parts"] if len(parts) > 1 else [state]
        for part, its_state in zip(parts, states, strict=True):
            parameters = [parameter for group in part.param_groups for parameter in group["params"]]
            its_state["state"] = divided(its_state["state"], parameters)
        optimizer.load_state_dict(state)

    def _kept(self, value: Any) -> Any:
        gathered = whole(value)
        if not isinstance(gathered, torch.Tensor):
            return gathered
        return gathered.cpu() if self.is_global_zero else None


def divided(state: Mapping[int, Mapping[str, Any]], parameters: Sequence[Parameter]) -> dict[int, dict[str, Any]]:
    """Return an optimiser's state by parameter number, with what has a parameter's shape divided as that is."""
    return {
        number: {
            name: part_like(value, parameters[number]) if _belongs(value, parameters[number]) else value
            for name, value in values.items()
        }
        for number, values in state.items()
    }


def _belongs(value: Any, parameter: Parameter) -> bool:
    return isinstance(value, torch.Tensor) and value.shape == parameter.shape
