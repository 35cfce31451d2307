"""A method of a module, compiled: weights, names and callers stay as they are."""

from types import MethodType

import torch

__all__ = ["compile_method"]


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
