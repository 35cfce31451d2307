"""Any source -> frames: recordings, videos, images and live streams."""
