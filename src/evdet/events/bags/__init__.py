"""ROS 1 bags, ROS 2 bags and MCAP files: the events of one topic."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
