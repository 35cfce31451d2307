from .frames import (
    events_to_picture as events_to_picture,
    frame_to_picture as frame_to_picture,
    frame_to_rgb as frame_to_rgb,
)
from .overview import (
    Overview as Overview,
    recording_html as recording_html,
    recording_line as recording_line,
)
