from .command import InfoOptions as InfoOptions, info as info
from .description import describe_recording as describe_recording, draw_rate as draw_rate
