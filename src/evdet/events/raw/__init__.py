"""RAW files: EVT2, EVT2.1 and EVT3 decoded, the index that makes them seekable; EVT3 written."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
