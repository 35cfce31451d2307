"""Boxes, grids and videos. Images are (H, W, 3), RGB, from 0 to 255."""

from evdet.draw.anchors import draw_anchors, draw_anchors_and_predictions
from evdet.draw.boxes import (
    class_color,
    draw_box_events,
    draw_detections_and_truth,
    scale_box_events,
)
from evdet.draw.images import decode_png, encode_gif, encode_png, image_grid, upscale
from evdet.draw.video import (
    VideoUnavailableError,
    VideoWriter,
    check_video_available,
    write_video,
)

__all__ = [
    "VideoUnavailableError",
    "VideoWriter",
    "check_video_available",
    "class_color",
    "decode_png",
    "draw_anchors",
    "draw_anchors_and_predictions",
    "draw_box_events",
    "draw_detections_and_truth",
    "encode_gif",
    "encode_png",
    "image_grid",
    "scale_box_events",
    "upscale",
    "write_video",
]
