"""Boxes + truth -> numbers: average precision, confusion between classes, the worst frames."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
