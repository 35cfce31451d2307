"""A method of a module, compiled: weights, names and callers stay as they are."""

from types import MethodType

import torch

__all__ = ["compile_method", "compile_reason"]


def compile_method(module: object, name: str) -> None:
    """Let a method of this one module run compiled from its next call on.

    Args:
        module: an `nn.Module`, whose method; its weights keep their names, and its copies are
            compiled, too.
        name: of the method. `forward` is compiled by the module's own `compile()`.
    """
    compiled = torch.compile(getattr(type(module), name))
    # On the object it hides the class's own. Bound anew, a copy of the module works with the
    # copy's weights.
    vars(module)[name] = MethodType(compiled, module)


def compile_reason(error: Exception) -> str:
    """Find the line that says why torch.compile or another optimiser gave up, of many.

    Args:
        error: what it raised.

    Returns:
        The first line that names an error or a compiler, else the first of all, without a dot.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "Error" in line or "ompiler" in line]
    return (named or lines or [type(error).__name__])[0].rstrip(".")
