"""One file per labelled frame: YOLO text and PASCAL VOC XML."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
