"""A folder of recordings -> train, val and test: the plan, and its steps, which can be undone."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
