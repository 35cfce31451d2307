"""Processes beside and below this one: signals that end them, and locks between them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
