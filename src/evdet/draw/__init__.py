"""Boxes, grids and videos. Images are (H, W, 3), RGB, from 0 to 255."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
