"""What all formats share: the interface of a file, how to read it, and joined blocks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
