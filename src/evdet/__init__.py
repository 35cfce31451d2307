"""evdet trains and runs object detectors that remember.

The names are loaded when they are first used, so importing evdet costs nothing; `__init__.pyi` has
the list.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
