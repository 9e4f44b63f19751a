"""A hash of what a network computes besides its weights: its modules, their settings and their code."""

import functools
import hashlib
from collections.abc import Iterator, Mapping
from types import CodeType
from typing import Any

import torch
from torch import Tensor, nn

OWN = {*vars(nn.Module()), "_compiled_call_impl"}
"""Attributes that PyTorch keeps in every module: mode, hooks, and those handled by name."""


def structure(network: nn.Module) -> str:
    """Return a hash of what a network computes with its weights.

    Networks with equal weights can still differ: in an activation, in pooling, in the code of ``forward``. Code of
    other packages is covered by their versions, which are part of the key.
    """
    digest = hashlib.sha256()
    for name, module in network.named_modules():
        settings = {key: described(value) for key, value in vars(module).items() if key not in OWN}
        code = class_code(type(module))  # type: ignore[arg-type]  # classes are hashable
        kind = f"{qualified(type(module))} {code}"
        digest.update(f"{name} {kind} {module.extra_repr()} {sorted(settings.items())}\n".encode())
    for name, buffer in network.named_buffers():  # including those not in the state dict
        digest.update(f"{name} {described(buffer)}\n".encode())
    return digest.hexdigest()


def described(value: Any) -> str:
    """Return a text that is equal for equal settings in every process; for other objects, their type."""
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
    """Return a hash of the code of a class's methods, including inherited ones."""
    classes = [each for each in kind.__mro__ if each not in (nn.Module, object)]
    methods = [(name, function_code(value)) for each in classes for name, value in vars(each).items()]
    return hashlib.sha256(repr(sorted(methods)).encode()).hexdigest()


def function_code(function: Any) -> str:
    """Return a function's code, defaults and closure as text; empty if it is not a function."""
    function = getattr(function, "__func__", function)  # unwraps methods, including static and class methods
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    cells = [cell.cell_contents for cell in function.__closure__ or () if not callable(cell.cell_contents)]
    return repr((list(instructions(code)), described(function.__defaults__), described(cells)))


def instructions(code: CodeType) -> Iterator[str]:
    """Yield the instructions, names and constants of a code object, without its source location."""
    yield f"{code.co_code.hex()} {code.co_names} {code.co_varnames}"
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from instructions(constant)
        else:
            yield repr(sorted(map(repr, constant))) if isinstance(constant, frozenset) else repr(constant)
