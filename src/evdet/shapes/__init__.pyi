from .arrays import BoxEvents as BoxEvents, Frame as Frame, Picture as Picture, Size as Size
from .tensors import (
    Boxes as Boxes,
    BoxesCxcywh as BoxesCxcywh,
    ClipDetections as ClipDetections,
    Detections as Detections,
    Durations as Durations,
    Frames as Frames,
    Maps as Maps,
    Memory as Memory,
)
