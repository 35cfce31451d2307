"""Exports of annotation tools -> box events, and boxes as pre-labels for them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
