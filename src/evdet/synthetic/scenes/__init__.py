"""Scenes of digits and shapes that move, stop and occlude one another."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
