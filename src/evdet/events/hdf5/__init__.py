"""HDF5 files: DSEC's layout, also written; Metavision's and its codec."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
