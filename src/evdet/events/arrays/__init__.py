"""Arrays of events: .npy files, and the .bin files of N-MNIST."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
