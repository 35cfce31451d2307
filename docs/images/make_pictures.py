"""Makes the pictures of these pages that show what evdet does.

Usage: python docs/images/make_pictures.py [RUN]

It makes detect.webp: the bundled recording of a real sensor, and beside it what the bundled
detector finds in it. With RUN, the folder of `evdet demo`, it also makes demo.png, a frame of that
run's video. The curves in memory.png and rvt_and_ssd.png are from reports of trainings of hours,
whose commands are in docs/benchmarks.md. The SVG files are drawn by hand.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from evdet import open_detector
from evdet.draw import Trails, upscale
from evdet.outputs import draw_found, picture_of
from evdet.pipeline import detect, frames_for
from evdet.samples import sample_recording
from evdet.shapes import Picture
from evdet.sources import open_frames
from evdet.tracking import Tracker

FOLDER = Path(__file__).parent
SHOWN = (800_000, 6_000_000)  # microseconds of the recording
SCALE, GAP = 3, 6
TITLES = ("events", "events, boxes from memory")
LEGEND = (
    "4 90% #1: class, score, track     grey: no track     "
    "dashed: no events, kept by the detector's memory"
)
INK, FAINT, PAPER = (240, 240, 240), (190, 190, 195), (48, 48, 54)
COLORS = 200
DEMO_FRAME = 60


def main(run: str = "") -> None:
    """Write the pictures beside this script."""
    pictures = [Image.fromarray(picture) for picture in side_by_side("events-digits")]
    path = FOLDER / "detect.webp"
    write_animation(path, pictures)
    print(f"{path}: {len(pictures)} frames, {path.stat().st_size / 1e6:.2f} MB")
    if run:
        with av.open(str(Path(run) / "demo.mp4")) as video:
            frames = [frame.to_image() for frame in video.decode(video=0)]
        frames[min(DEMO_FRAME, len(frames) - 1)].save(FOLDER / "demo.png", optimize=True)


def side_by_side(checkpoint: str) -> Iterator[Picture]:
    """Events alone, and beside them the same events with boxes and tracks."""
    detector = open_detector(checkpoint)
    stream = open_frames(sample_recording("sample-nmnist"), frames_for(detector))
    label_map = ["background", *detector.frame_spec.class_names]
    trails = Trails()
    tracker = Tracker("bytetrack", delta_t=stream.delta_t)
    for found in detect(stream, detector, score_thresh=0.3, agnostic=True, tracker=tracker):
        trails.add(found.t, found.boxes)
        if SHOWN[0] < found.t <= SHOWN[1]:
            plain = upscale(picture_of(found, stream.size), SCALE)
            drawn = draw_found(found, stream.size, label_map, trails, scale=SCALE)
            yield with_titles(plain, drawn, (found.t - SHOWN[0]) / 1e6)


def with_titles(left: Picture, right: Picture, seconds: float) -> Picture:
    """The two pictures with their titles above and the legend below."""
    height, width = left.shape[:2]
    page = Image.new("RGB", (2 * width + GAP, height + 54), PAPER)
    page.paste(Image.fromarray(left), (0, 28))
    page.paste(Image.fromarray(right), (width + GAP, 28))
    draw = ImageDraw.Draw(page)
    title, small = ImageFont.load_default(17), ImageFont.load_default(14)
    for text, x in zip(TITLES, (8, width + GAP + 8), strict=True):
        draw.text((x, 4), text, INK, title)
    draw.text((page.width - 8, 6), f"{seconds:.1f} s", FAINT, small, anchor="ra")
    draw.text((8, height + 33), LEGEND, FAINT, small)
    return np.asarray(page)


def write_animation(path: Path, pictures: list[Image.Image]) -> None:
    """Lossless, since else single events blur, in few colours: a tenth of the size."""
    width, height = pictures[0].size
    some = pictures[:: max(1, len(pictures) // 30)]
    strip = Image.new("RGB", (width, height * len(some)))
    for index, picture in enumerate(some):
        strip.paste(picture, (0, index * height))
    palette = strip.quantize(COLORS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    first, *others = [
        picture.quantize(palette=palette, dither=Image.Dither.NONE).convert("RGB")
        for picture in pictures
    ]
    # In lossless files, quality and method are the effort.
    settings = {"duration": 50, "loop": 0, "lossless": True, "quality": 100, "method": 4}
    first.save(path, save_all=True, append_images=others, **settings)


if __name__ == "__main__":
    main(*sys.argv[1:2])
