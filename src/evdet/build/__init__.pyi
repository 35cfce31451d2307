from .completing import complete_config as complete_config, read_options as read_options
from .detector import (
    ANCHORS as ANCHORS,
    DETECTORS as DETECTORS,
    FEATURE_EXTRACTORS as FEATURE_EXTRACTORS,
    build_detector as build_detector,
)
from .loader import build_loader as build_loader
