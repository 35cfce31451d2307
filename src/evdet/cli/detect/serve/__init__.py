"""`evdet serve`: a page on which recordings are dropped, and their boxes and tracks play."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
