"""The events of a time bin -> one dense frame, on the CPU and on an accelerator."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
