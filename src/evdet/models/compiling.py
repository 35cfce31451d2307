"""torch.compile for one method of a module: weights, names and callers stay as they are."""

from types import MethodType

import torch

__all__ = ["compile_method", "compile_reason"]


def compile_method(module: object, name: str) -> None:
    """Compile a method of this one module at its next call.

    Args:
        module: an `nn.Module`; its weights keep their names, and its copies are compiled, too.
        name: of the method. The module's own `compile()` compiles `forward`.
    """
    compiled = torch.compile(getattr(type(module), name))
    # On the object it hides the class's method. A method is bound again when it is copied, so a
    # copy of the module works with the copy's weights.
    vars(module)[name] = MethodType(compiled, module)


def compile_reason(error: Exception) -> str:
    """Find the line of a long message that says why torch.compile failed.

    Returns:
        The first line that names an error or a compiler, else the first line, without a full stop.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "Error" in line or "ompiler" in line]
    return (named or lines or [type(error).__name__])[0].rstrip(".")
