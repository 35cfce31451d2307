"""The 70,000 MNIST digits inside the package, and their splits."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
