"""What a terminal gets to see: signs that its encoding has, and no control characters of names."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
