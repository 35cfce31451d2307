"""Many files at once: which they are, what each one becomes, what is finished, and who works."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
