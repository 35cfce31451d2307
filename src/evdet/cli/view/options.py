"""The options of `evdet view`, and what they open."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from evdet.cli.many import ManyOptions
from evdet.cli.options import Flag, ReadingOptions, asked_size, default, required
from evdet.events import Recording, open_recording
from evdet.labels import find_label_map, read_label_map
from evdet.outputs import label_maps_of, recording_files

__all__ = ["MAX_FRAMES_PER_SECOND", "ViewOptions"]

MAX_FRAMES_PER_SECOND = 240
"""Of a video: screens show no more."""


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """Render a recording and its boxes as a video or as one picture, or its frames to annotate."""

    recordings: Annotated[tuple[Path, ...], tyro.conf.Positional, required("RECORDING ...")]
    """Event recordings of any format, and folders of them; sample and sample-nmnist are bundled
    with evdet."""
    sensor_size: Annotated[str | None, default("as stated in the file", "WxH")] = None
    """Sensor width and height in pixels, such as 346x260."""
    reading: tyro.conf.OmitArgPrefixes[ReadingOptions] = field(default_factory=ReadingOptions)
    """How to read the recording."""
    output: Annotated[Path | None, default("none", "FILE")] = None
    """File to write: .mp4 a video of every time bin, .png a picture of several of them."""
    many_files: tyro.conf.OmitArgPrefixes[ManyOptions] = field(default_factory=ManyOptions)
    """Several files or folders, and their results."""
    frames: Annotated[Path | None, default("none", "DIR")] = None
    """Folder for pictures to annotate: each time bin, in the sensor's size, without boxes."""
    prelabels: Annotated[Path | None, default("none", "FILE")] = None
    """File to write the boxes to for the annotation tool: .xml for CVAT, .json for Label Studio."""
    boxes: Annotated[Path | None, default("the labels next to the recording", "FILE")] = None
    """Label file with the boxes to draw, or for --prelabels."""
    label_map: Annotated[
        Path | None, default("label_map_dictionary.json of the data set", "FILE")
    ] = None
    """JSON file with the class names."""
    delta_t: Annotated[int, tyro.conf.arg(metavar="US")] = 50_000
    """Duration of a time bin in microseconds."""
    speed: float = 1.0
    """Playback speed of the video; 1 is real time, 0.1 slow motion."""
    start: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 0.0
    """Start of the interval to render, in seconds from the start of the recording."""
    duration: Annotated[float | None, default("up to the end", "SECONDS")] = None
    """Duration of the interval to render, in seconds."""
    pictures: int = 9
    """Time bins on a .png, evenly spread over those with boxes, or over all without boxes."""
    scale: Annotated[
        int | None,
        default("small sensors fill 600 pixels, a .png at most about 1920", "INT"),
    ] = None
    """Enlargement factor."""
    force: Flag = False
    """With --frames: overwrite files that exist."""

    @property
    def recording(self) -> Path:
        """The one recording."""
        return self.recordings[0]

    @property
    def files_read(self) -> list[Path | None]:
        """What is read besides results: the recording, and what belongs to it and its boxes."""
        belong = [*recording_files(self.recording), *label_maps_of(self.boxes)]
        return [*belong, self.boxes, self.label_map]

    def open(self) -> Recording:
        """Open the recording.

        Raises:
            RecordingError: it cannot be opened.
        """
        size = asked_size(self.sensor_size)
        return open_recording(self.recording, size=size, options=self.reading.options())

    def class_names(self) -> dict[int, str]:
        """The names of the classes, by their ids on disk; none where there is no label map.

        Raises:
            LabelError: the label map cannot be read.
        """
        if self.label_map is not None:
            return read_label_map(self.label_map)
        found = find_label_map(self.recording)
        return {} if found is None else found.names
