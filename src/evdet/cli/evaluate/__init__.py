"""`evdet evaluate`: a checkpoint and a data set -> scores; what it plays."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
