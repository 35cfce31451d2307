"""Names of cameras of pictures: webcams by number, and addresses of network cameras."""

import re
import sys
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

__all__ = ["PictureCamera", "check_picture_camera", "is_picture_camera"]

_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "rtp", "srt")
_NEED_PORT = ("udp", "rtp", "srt")
_NUMBER = re.compile(r"0|[1-9][0-9]?", re.ASCII)
_DEVICE = re.compile(r"/dev/video[0-9]+", re.ASCII)
_WEBCAM_FORMATS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}


class PictureCamera(NamedTuple):
    """What PyAV opens."""

    name: str
    """For display, without the password of an address."""
    address: str
    """The device or the address."""
    format: str | None
    """The system's kind of device; None lets PyAV find the format."""


def is_picture_camera(source: object) -> bool:
    """Whether a source is named as a camera of pictures, and not as a file.

    These are the number of a webcam, such as 0, a device such as `/dev/video0`, and addresses that
    start with rtsp://, http://, udp:// and the like.
    """
    if not isinstance(source, str):
        return False
    is_device = _NUMBER.fullmatch(source) or _DEVICE.fullmatch(source)
    scheme, separator, _ = source.partition("://")
    return bool(is_device) or (bool(separator) and scheme.lower() in _SCHEMES)


def check_picture_camera(source: str) -> PictureCamera:
    """Check the name of a camera of pictures, before anything is opened.

    Raises:
        ValueError: it could be a file, or is an incomplete address.
    """
    if _NUMBER.fullmatch(source):
        if Path(source).exists():
            raise ValueError(
                f"{source} is the number of a webcam, and there is a file or folder of that name: "
                f"use ./{source} for the file or folder, or rename it"
            )
        address = f"/dev/video{int(source)}" if sys.platform == "linux" else str(int(source))
        return PictureCamera(f"webcam {int(source)}", address, _WEBCAM_FORMATS.get(sys.platform))
    if _DEVICE.fullmatch(source):
        return PictureCamera(source, source, "v4l2")
    scheme = source.partition("://")[0].lower()
    refusal = ValueError(
        f"{_without_password(source)} is not a complete address: it must be like "
        f"{scheme}://192.168.1.20:{_example_port(scheme)}"
    )
    try:
        parts = urlsplit(source)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise refusal from None
    # udp://:5000 and udp://@:5000 listen.
    is_complete = port if scheme in _NEED_PORT else host
    if not is_complete:
        raise refusal
    return PictureCamera(_without_password(source), source, None)


def _without_password(address: str) -> str:
    return re.sub(r"(?<=://)[^/]*@", "", address)


def _example_port(scheme: str) -> str:
    return "5000" if scheme in _NEED_PORT else {"rtsp": "554/stream"}.get(scheme, "8080/video")
