from .anchors import (
    draw_anchors as draw_anchors,
    draw_anchors_and_predictions as draw_anchors_and_predictions,
)
from .boxes import (
    class_color as class_color,
    draw_box_events as draw_box_events,
    draw_caption as draw_caption,
    draw_detections_and_truth as draw_detections_and_truth,
    scale_box_events as scale_box_events,
)
from .found import found_html as found_html, found_line as found_line
from .images import (
    decode_png as decode_png,
    encode_gif as encode_gif,
    encode_png as encode_png,
    image_grid as image_grid,
    reduce_by_maximum as reduce_by_maximum,
    upscale as upscale,
)
from .rerun_file import RerunWriter as RerunWriter, check_rerun_available as check_rerun_available
from .tracks import Trails as Trails, box_texts as box_texts, draw_tracks as draw_tracks
from .video import (
    VideoUnavailableError as VideoUnavailableError,
    VideoWriter as VideoWriter,
    check_video_available as check_video_available,
    write_video as write_video,
)
