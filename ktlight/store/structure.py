"""What a network computes with its weights, as a hash: its modules, their settings and their code."""

import functools
import hashlib
from collections.abc import Iterator, Mapping
from types import CodeType
from typing import Any

import torch
from torch import Tensor, nn

OWN = {*vars(nn.Module()), "_compiled_call_impl"}
"""What PyTorch keeps in every module: mode, hooks, and what is looked at by name."""


def structure(network: nn.Module) -> str:
    """Return a hash of what a network computes with its weights.

    Networks may have the same weights and differ all the same: in an activation, in how features are pooled, in the
    code of ``forward``. What that calls of other packages changes with their versions, which are in the key too.
    """
    digest = hashlib.sha256()
    for name, module in network.named_modules():
        settings = {key: described(value) for key, value in vars(module).items() if key not in OWN}
        code = class_code(type(module))  # type: ignore[arg-type]  # classes are hashable
        kind = f"{qualified(type(module))} {code}"
        digest.update(f"{name} {kind} {module.extra_repr()} {sorted(settings.items())}\n".encode())
    for name, buffer in network.named_buffers():  # those outside the state dict too
        digest.update(f"{name} {described(buffer)}\n".encode())
    return digest.hexdigest()


def described(value: Any) -> str:
    """Return a text that is the same for equal settings, in every process; of other objects it says the type."""
    if isinstance(value, Tensor):
        numbers = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        return f"{value.dtype} {tuple(value.shape)} {hashlib.sha256(numbers.tobytes()).hexdigest()}"
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}{[described(item) for item in value]}"
    if isinstance(value, Mapping):
        return str(sorted((str(key), described(item)) for key, item in value.items()))
    if isinstance(value, functools.partial):
        return f"partial {described(value.func)} {described(value.args)} {described(value.keywords)}"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{qualified(value)} {function_code(value)}"
    return qualified(type(value))


def qualified(thing: Any) -> str:
    """Return the full name of a class or function."""
    return f"{thing.__module__}.{thing.__qualname__}"


@functools.cache
def class_code(kind: type) -> str:
    """Return a hash of the code of a class's methods, those that it inherits included."""
    classes = [each for each in kind.__mro__ if each not in (nn.Module, object)]
    methods = [(name, function_code(value)) for each in classes for name, value in vars(each).items()]
    return hashlib.sha256(repr(sorted(methods)).encode()).hexdigest()


def function_code(function: Any) -> str:
    """Return what a function does, as text: its code, its defaults and what it closes over; empty for no function."""
    function = getattr(function, "__func__", function)  # of methods, also static and class methods
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    cells = [cell.cell_contents for cell in function.__closure__ or () if not callable(cell.cell_contents)]
    return repr((list(instructions(code)), described(function.__defaults__), described(cells)))


def instructions(code: CodeType) -> Iterator[str]:
    """Yield the instructions, names and constants of a piece of code, without the place where it stands."""
    yield f"{code.co_code.hex()} {code.co_names} {code.co_varnames}"
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from instructions(constant)
        else:
            yield repr(sorted(map(repr, constant))) if isinstance(constant, frozenset) else repr(constant)
