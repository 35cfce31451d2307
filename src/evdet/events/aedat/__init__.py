"""AEDAT 2 and 3.1 files; AEDAT4 and ES files, decoded by faery in a process of its own."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
