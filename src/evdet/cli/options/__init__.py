"""Options: what several commands ask for in the same words, and how words become them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
