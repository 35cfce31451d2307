"""Files of a few bytes that ask for gigabytes: archives, chunks, pictures, videos and texts."""

import io
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np

from drill.attack import Attack, evdet

__all__ = ["BOMBS"]

_BOMBS = "bombs"


def _labels_bomb(folder: Path) -> str | None:
    """Half a megabyte that inflates to half a gigabyte."""
    from evdet import BOX_DTYPE

    head = io.BytesIO()
    num = (1 << 29) // BOX_DTYPE.itemsize
    declared = {"descr": BOX_DTYPE.descr, "fortran_order": False, "shape": (num,)}
    np.lib.format.write_array_header_1_0(head, declared)
    with (
        zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("labels.npy", "w", force_zip64=True) as member,
    ):
        member.write(head.getvalue())
        for _ in range(16):
            member.write(bytes(1 << 25))
    words = ("score", "--detections", "a.npz", "--boxes", "a.npz")
    return evdet(*words, folder=folder).unlike(2, "more than")


def _events_bomb(folder: Path) -> str | None:
    """An archive of a gigabyte of events, all at once: it is read in blocks."""
    with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in "txyp":
            head = io.BytesIO()
            declared = {"descr": "<i8", "fortran_order": False, "shape": (30_000_000,)}
            np.lib.format.write_array_header_1_0(head, declared)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                member.write(head.getvalue())
                for _ in range(30):
                    member.write(bytes(8_000_000))
    answer = evdet("info", "a.npz", folder=folder)
    return answer.unlike(0, "30,000,000", max_mb=900)


def _chunk_bomb(number: int, size: bytes) -> Callable[[Path], str | None]:
    """A chunk of a few bytes that asks for gigabytes, in a filter's own header."""

    def run(folder: Path) -> str | None:
        import h5py
        import hdf5plugin

        filters = {
            32001: hdf5plugin.Blosc(),
            32004: hdf5plugin.LZ4(),
            32015: hdf5plugin.Zstd(),
            32026: hdf5plugin.Blosc2(),
        }
        with h5py.File(folder / "a.h5", "w") as file:
            for name in "xyp":
                file[f"events/{name}"] = np.ones(1000, "u1")
            times = file.create_dataset(
                "events/t", (1000,), "u8", chunks=(1000,), **filters[number]
            )
            times[:] = np.arange(1000)
            stored = times.id.read_direct_chunk((0,))[1]
            at = {32001: 4, 32026: 101}.get(number, 0)
            chunk = size if number == 32015 else stored[:at] + size + stored[at + len(size) :]
            times.id.write_direct_chunk((0,), chunk)
        return evdet("info", "a.h5", folder=folder).unlike(2, "would become", max_mb=900)

    return run


def _write_deflated(folder: Path, times: int) -> None:
    """A gigabyte in a chunk of 1000 numbers."""
    import h5py

    with h5py.File(folder / "a.h5", "w") as file:
        for name in "xyp":
            file[f"events/{name}"] = np.ones(1000, "u1")
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((1000,))
        chunk = bytes(1 << 30)
        for _ in range(times):
            plan.set_deflate(9)
            chunk = zlib.compress(chunk, 9)
        space = h5py.h5s.create_simple((1000,))
        made = h5py.h5d.create(file["events"].id, b"t", h5py.h5t.NATIVE_INT64, space, plan)
        made.write_direct_chunk((0,), chunk)


def _deflated(folder: Path) -> str | None:
    _write_deflated(folder, 1)
    return evdet("info", "a.h5", folder=folder).unlike(2, "would become", max_mb=900)


def _twice_deflated(folder: Path) -> str | None:
    _write_deflated(folder, 2)
    return evdet("info", "a.h5", folder=folder).unlike(2, "compressed several times", max_mb=900)


def _bag_bomb(kind: str) -> Callable[[Path], str | None]:
    """A chunk with a gigabyte of zeros after its messages."""

    def run(folder: Path) -> str | None:
        import lz4.frame
        from rosbags.rosbag1 import Writer, writer
        from rosbags.rosbag2 import CompressionMode, storage_mcap

        from bag_maker import EVENTS, array, write_ros1, write_ros2

        def lz4_compress(data: bytes, _: int) -> bytes:
            return lz4.frame.compress(data + bytes(1 << 30))

        def zstd_compress(data: bytes) -> bytes:
            return zstd.compress(data + bytes(1 << 30))

        zstd, topics = storage_mcap.zstd, {"/dvs": [array(EVENTS)]}
        if kind == "ros1":
            with mock.patch.object(writer, "lz4_compress", lz4_compress):
                packed = Writer.CompressionFormat.LZ4
                write_ros1(folder / "a.bag", topics, compression=packed)
        else:
            with mock.patch.object(storage_mcap, "zstd", SimpleNamespace(compress=zstd_compress)):
                packed = CompressionMode.STORAGE
                write_ros2(folder / "a.bag", topics, mcap=True, compression=packed)
        return evdet("info", "a.bag", folder=folder).unlike(2, "would become more", max_mb=900)

    return run


def _giant_png(folder: Path) -> str | None:
    """A picture of 14,000x10,000 pixels, in 2 MB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + checksum

    size = struct.pack(">IIBBBBB", 14_000, 10_000, 8, 2, 0, 0, 0)
    rows = zlib.compressobj(1)
    data = b"".join(rows.compress(bytes(42_001)) for _ in range(10_000)) + rows.flush()
    content = chunk(b"IHDR", size) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    run = "import sys; from pathlib import Path; from evdet.sources.images import read_image\n"
    return _peak_of(folder, run + "try: read_image(Path('a.png'))\n", "cannot decode", 900)


def _peak_of(folder: Path, attempt: str, says: str, max_mb: int) -> str | None:
    """What is wrong with the error, or the memory, of lines of Python."""
    code = attempt + (
        "except Exception as e: print('evdet:', e)\n"
        "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    if not lines or says not in lines[0]:
        return f"no answer: {(done.stdout + done.stderr)[-200:]}"
    return None if int(lines[-1]) < max_mb else f"{lines[-1]} MB"


def _giant_video(folder: Path) -> str | None:
    """A video of one picture of 16,000x16,000 pixels, in a file that says 64x48."""
    import av

    with av.open(str(folder / "a.avi"), "w") as file:
        track = file.add_stream("png", rate=25)
        track.height, track.width, track.pix_fmt = 48, 64, "rgb24"
        picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        file.mux(track.encode(picture))
        file.mux(track.encode())
    content = (folder / "a.avi").read_bytes()
    said, giant = (b"IHDR" + struct.pack(">II", *size) for size in ((64, 48), (16_000, 16_000)))
    (folder / "a.avi").write_bytes(content.replace(said, giant))
    run = "import sys; from pathlib import Path; from evdet.sources.videos import VideoSource\n"
    run += "try: VideoSource(Path('a.avi'), frame_shape=(3, 64, 64))\n"
    return _peak_of(folder, run, "cannot be decoded", 400)


def _long_line(folder: Path) -> str | None:
    with (folder / "a.csv").open("wb") as file:
        file.write(b"1,2,3,1\n" * 100)
        for _ in range(1 << 8):
            file.write(b"7" * (1 << 22))
    return evdet("info", "a.csv", folder=folder).unlike(2, "line", max_mb=900)


def _giant_npy(folder: Path) -> str | None:
    head = io.BytesIO()
    declared = {"descr": "<i8", "fortran_order": False, "shape": (1 << 50, 4)}
    np.lib.format.write_array_header_1_0(head, declared)
    (folder / "a.npy").write_bytes(head.getvalue() + np.ones((10, 4), "<i8").tobytes())
    return evdet("info", "a.npy", folder=folder).unlike(2, "truncated", max_mb=900)


def _entities(folder: Path) -> str | None:
    lines = ["<!DOCTYPE a [<!ENTITY e0 'ha'>"]
    lines += [f"<!ENTITY e{i} '{f'&e{i - 1};' * 10}'>" for i in range(1, 12)]
    (folder / "a.xml").write_text("\n".join([*lines, "]><annotations>&e11;</annotations>"]))
    words = ("score", "--detections", "a.xml", "--boxes", "a.xml")
    return evdet(*words, folder=folder).unlike(2, max_mb=900)


BOMBS = (
    Attack(_BOMBS, "labels in an archive", _labels_bomb),
    Attack(_BOMBS, "events in an archive", _events_bomb),
    Attack(_BOMBS, "a chunk of Blosc", _chunk_bomb(32001, b"\xff\xff\xff\x7f")),
    Attack(_BOMBS, "a chunk of LZ4", _chunk_bomb(32004, (3 << 30).to_bytes(8, "big"))),
    Attack(
        _BOMBS,
        "a chunk of Zstandard",
        _chunk_bomb(32015, b"\x28\xb5\x2f\xfd\xe0" + (3 << 30).to_bytes(8, "little") + bytes(9)),
    ),
    Attack(_BOMBS, "a chunk of Blosc2", _chunk_bomb(32026, b"\xff\xff\xff\x7f")),
    Attack(_BOMBS, "a chunk deflated once", _deflated),
    Attack(_BOMBS, "a chunk deflated twice", _twice_deflated),
    Attack(_BOMBS, "a chunk of a ROS 1 bag", _bag_bomb("ros1")),
    Attack(_BOMBS, "a chunk of an MCAP file", _bag_bomb("mcap")),
    Attack(_BOMBS, "a picture of 140 megapixels", _giant_png),
    Attack(_BOMBS, "a video of 256 megapixels", _giant_video),
    Attack(_BOMBS, "a line of text of a gigabyte", _long_line),
    Attack(_BOMBS, "an array that states 2^52 numbers", _giant_npy),
    Attack(_BOMBS, "XML entities", _entities),
)
