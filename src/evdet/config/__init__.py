"""The configuration of a training run: its fields, and the files and dicts that hold them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
