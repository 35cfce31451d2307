"""Small valid recordings of every format, made word by word and without evdet's own writers."""

import io
import struct
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import NamedTuple

import h5py
import hdf5plugin
import numpy as np

from bag_maker import (
    array,
    evt3_payload,
    mono_payload,
    only_file,
    packet,
    write_ros1,
    write_ros2,
)

__all__ = ["FOREIGN", "SAMPLES", "Samples", "events"]

Event = tuple[int, int, int, int]


def events(num: int, *, seed: int = 0, width: int = 64, height: int = 48) -> list[Event]:
    """Events (t, x, y, p) of a sensor, in order of time, some at the same time."""
    clock, random = Random(seed), Random(seed + 1)
    t, made = 1000, []
    for _ in range(num):
        t += clock.choice((0, 0, 1, 7, 90, 2500))
        made.append((t, random.randrange(width), random.randrange(height), random.randrange(2)))
    return made


def dat() -> list[bytes]:
    """DAT with the header of today, and the older one without geometry."""
    records = b"".join(struct.pack("<II", t, x | y << 14 | p << 28) for t, x, y, p in events(300))
    new = b"% Data file containing CD events.\n% Version 2\n% Width 64\n% Height 48\n"
    old = b"% Data file containing Event2dE events.\n% Version 2\n"
    wrapped = b"".join(
        struct.pack("<II", (t + 2**32 - 60_000) % 2**32, x | y << 14) for t, x, y, _ in events(300)
    )
    return [
        new + b"\x0c\x08" + records,
        old + b"\x00\x08" + records,
        new + b"\x0c\x08" + wrapped,
        new + b"\x0c\x08",
    ]


def evt2() -> list[bytes]:
    """EVT2 with and without a geometry line, with triggers between the events."""
    words, high = [], -1
    for number, (t, x, y, p) in enumerate(events(300)):
        if t >> 6 != high:
            high = t >> 6
            words.append(0x8 << 28 | high)
        words.append(p << 28 | (t & 63) << 22 | x << 11 | y)
        if number % 40 == 0:
            words.append(0xA << 28 | (t & 63) << 22 | 1)
    body = b"".join(struct.pack("<I", word) for word in words)
    stated = b"% date 2024-01-01 00:00:00\n% evt 2.0\n% geometry 64x48\n% end\n"
    known = b"% evt 2.0\n% system_ID 21\n"
    return [stated + body, known + body, b"% evt 2.0\n% format EVT2;height=48;width=64\n" + body]


def payload() -> list[bytes]:
    """Words of EVT3 without a header, with triggers between the events."""
    stated, _, wrapped = (content.split(b"% end\n")[-1] for content in evt3())
    return [stated, wrapped]


def evt21() -> list[bytes]:
    """EVT2.1 in both orders of the halves, with several events in a word."""
    words, high = [], -1
    for t, x, y, p in events(200):
        if t >> 6 != high:
            high = t >> 6
            words.append(0x8 << 60 | high << 32)
        mask = 1 | 1 << (t % 5)
        words.append(p << 60 | (t & 63) << 54 | min(x, 59) << 43 | y << 32 | mask)
    header = b"% evt 2.1\n% format EVT21;endianness=little;height=48;width=64\n% end\n"
    swapped = [(word << 32 | word >> 32) & (1 << 64) - 1 for word in words]
    legacy = b"% evt 2.1\n% endianness legacy\n% geometry 64x48\n% end\n"
    return [
        header + b"".join(struct.pack("<Q", word) for word in words),
        legacy + b"".join(struct.pack("<Q", word) for word in swapped),
    ]


def evt3() -> list[bytes]:
    """EVT3 with single events, vectors, triggers, continuations and a wrap of its clock."""

    def words(first: int) -> bytes:
        out, high, low, row = [], -1, -1, -1
        for number, (t, x, y, p) in enumerate(events(300)):
            time = (t + first) % 2**24
            if time >> 12 != high:
                high, low = time >> 12, 0
                out.append(0x8 << 12 | high)
            if time & 0xFFF != low:
                low = time & 0xFFF
                out.append(0x6 << 12 | low)
            if y != row:
                row = y
                out.append(y)
            if number % 3 == 0:
                out += [0x3 << 12 | p << 11 | min(x, 24), 0x4 << 12 | 0x811 | number % 16, 0x5081]
            else:
                out.append(0x2 << 12 | p << 11 | x)
            if number % 50 == 0:
                out += [0xA << 12 | 1, 0x7 << 12 | 5, 0xF << 12 | 3, 0xE << 12 | 9]
        return b"".join(struct.pack("<H", word) for word in out)

    stated = b"% evt 3.0\n% format EVT3;height=48;width=64\n% geometry 64x48\n% end\n"
    known = b"% evt 3.0\n% system_ID 48\n"
    return [stated + words(0), known + words(0), stated + words(2**24 - 60_000)]


def npy() -> list[bytes]:
    """Arrays (N, 4) of integers, also in another order and transposed, and of records."""
    rows = np.array(events(200), np.int64)
    records = np.zeros(200, [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "?")])
    for column, name in enumerate(("t", "x", "y", "p")):
        records[name] = rows[:, column]
    swapped = np.asarray(rows[:, [1, 2, 0, 3]], float)
    return [_saved(rows), _saved(records), _saved(rows[:0]), _saved(swapped), _saved(rows.T.copy())]


def npz() -> list[bytes]:
    """Archives of four columns and of one array, compressed and not."""
    rows = np.array(events(200), np.int64)
    columns = dict(zip(("t", "x", "y", "p"), rows.T, strict=True))
    made = []
    for save, arrays in (
        (np.savez, columns),
        (np.savez_compressed, {"events": rows[:, [1, 2, 0, 3]], "size": np.zeros(2)}),
        (np.savez_compressed, {f"left_{name}": column for name, column in columns.items()}),
    ):
        file = io.BytesIO()
        save(file, **arrays)
        made.append(file.getvalue())
    return made


def text() -> list[bytes]:
    """Columns in both orders, in seconds and in microseconds."""
    rows = events(200)
    return [
        b"t,x,y,p\n" + b"".join(b"%d,%d,%d,%d\n" % row for row in rows),
        b"x,y,p,t\n" + b"".join(b"%d,%d,%d,%d\n" % (x, y, p, t) for t, x, y, p in rows),
        "".join(f"{t / 1e6:.6f} {x} {y} {p}\n" for t, x, y, p in rows).encode(),
    ]


def aedat2() -> list[bytes]:
    """AEDAT 2 of both camera families, with external events and samples of pictures."""
    rows = events(200)
    start = b"#!AER-DAT2.0\r\n# Timestamps tick is 1 us\r\n"
    dvs128 = [((127 - x) << 1 | y << 8 | (1 - p), t) for t, x, y, p in rows]
    davis = [(y << 22 | x << 12 | p << 11, t) for t, x, y, p in rows]
    davis[50:50] = [(0x8000_0400, rows[50][0]), (0x400, rows[50][0])]
    wrapped = [(address, (t + 2**32 - 60_000) % 2**32) for address, t in dvs128]
    return [
        start + b"# AEChip: x.DVS128\r\n" + b"".join(struct.pack(">II", *pair) for pair in dvs128),
        start + b"# AEChip: x.DAVIS240C\r\n#End Of ASCII Header\r\n"
        + b"".join(struct.pack(">II", *pair) for pair in davis),
        start + b"".join(struct.pack(">II", *pair) for pair in wrapped),
    ]  # fmt: skip


def aedat3() -> list[bytes]:
    """AEDAT 3.1 with packets of events, of pictures and of the inertial sensor."""

    def packet(kind: int, size: int, number: int, body: bytes) -> bytes:
        return struct.pack("<hhiiiiii", kind, 1, size, 4, 0, number, number, number) + body

    body = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DAVIS240C\r\n#!END-HEADER\r\n"
    rows = events(200)
    for first in range(0, 200, 40):
        words = b"".join(
            struct.pack("<II", x << 17 | y << 2 | p << 1 | 1, t)
            for t, x, y, p in rows[first : first + 40]
        )
        body += packet(1, 8, 40, words) + packet(3, 36, 1, bytes(36)) + packet(2, 60, 1, bytes(60))
    return [body, body.replace(b"DAVIS240C", b"Mine")]


def dialects() -> list[bytes]:
    """Text as OpenEB, NumPy, spreadsheets and pandas write it."""
    rows = events(200)
    saved = io.BytesIO()
    np.savetxt(saved, np.array(rows))
    tabs = "".join(f"{t}\t{x}\t{y}\t{p}\r\n" for t, x, y, p in rows)
    return [
        b"%geometry:64,48\n" + b"".join(b"%d,%d,%d,%d\n" % (x, y, p, t) for t, x, y, p in rows),
        saved.getvalue(),
        "".join(f"{t / 1e6:.6f};{x};{y};{p}\r\n".replace(".", ",") for t, x, y, p in rows).encode(),
        f"t\tx\ty\tp\r\n{tabs}".encode("utf-16"),
        b",timestamp (us),x,y,polarity\n"
        + b"".join(b'%d,"%d",%d,%d,%s,\n' % (k, *row[:3], (b"False", b"True")[row[3]])
                   for k, row in enumerate(rows)),
    ]  # fmt: skip


def nmnist() -> list[bytes]:
    """Records of 40 bits: x, y, polarity and 23 bits of time."""
    rows = events(200, width=34, height=34)
    return [
        b"".join(
            bytes([x, y, p << 7 | t >> 16 & 0x7F, t >> 8 & 0xFF, t & 0xFF]) for t, x, y, p in rows
        )
    ]


def dsec() -> list[bytes]:
    """The HDF5 layout of DSEC: a column each, with the first event of every millisecond."""
    rows = np.array(events(300), np.int64)
    made = []
    for offset, compression in ((0, hdf5plugin.Blosc("lz4", shuffle=1)), (7_000_000, {})):

        def fill(file: h5py.File, offset: int = offset, compression: object = compression) -> None:
            for column, (name, kind) in enumerate(
                (("t", "<u4"), ("x", "<u2"), ("y", "<u2"), ("p", "u1"))
            ):
                file.create_dataset(
                    f"events/{name}",
                    data=rows[:, column].astype(kind),
                    chunks=(128,),
                    maxshape=(None,),
                    **compression,
                )
            ends = np.arange(rows[-1, 0] // 1000 + 2) * 1000
            file["ms_to_idx"] = np.searchsorted(rows[:, 0], ends).astype(np.uint64)
            file["t_offset"] = offset

        made.append(_hdf5(fill))
    return made


def layouts() -> list[bytes]:
    """HDF5 as MVSEC, v2e and event_utils write it."""
    rows = np.array(events(300), np.int64)

    def mvsec(file: h5py.File) -> None:
        made = rows[:, [1, 2, 0, 3]].astype(float)
        file.create_dataset("davis/left/events", data=made / [1, 1, 1e6, 1], chunks=(64, 4))
        file["davis/left/image_raw_ts"] = np.arange(3.0)

    def v2e(file: h5py.File) -> None:
        file.create_dataset("events", data=rows.astype("<u4"), chunks=(64, 2), compression="gzip")

    def columns(file: h5py.File) -> None:
        for column, name in enumerate(("ts", "xs", "ys", "ps")):
            values = rows[:, column] / 1e6 if name == "ts" else rows[:, column].astype("<i2")
            file[f"events/{name}"] = values

    return [_hdf5(mvsec), _hdf5(v2e), _hdf5(columns)]


def ecf_chunks() -> list[bytes]:
    """Chunks of Metavision HDF5, coded in each of the three ways."""
    return [encode(events(100)) for encode in (_ecf_unpacked, _ecf_xp_packed, _ecf_yxp_packed)]


def metavision() -> list[bytes]:
    """Metavision HDF5, its chunks coded in each of the three ways."""
    rows = events(300)
    return [
        _metavision(rows, [encode(rows[first : first + 128]) for first in range(0, 300, 128)])
        for encode in (_ecf_unpacked, _ecf_xp_packed, _ecf_yxp_packed)
    ]


def around_chunk(chunk: bytes) -> bytes:
    """A valid file around one chunk that may be damaged."""
    before, after = _around(max(1, len(chunk)))
    return before + (chunk or b"\x00") + after


@lru_cache(maxsize=1000)
def _around(num_bytes: int) -> tuple[bytes, bytes]:
    """What stands before and after a chunk of that length; HDF5 takes a while to write it."""
    chunk = b"\xa5" * num_bytes
    before, _, after = _metavision(events(100), [chunk]).rpartition(chunk)
    return before, after


def _metavision(rows: list[Event], chunks: list[bytes]) -> bytes:
    def fill(file: h5py.File) -> None:
        group = file.create_group("CD")
        kind = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
        how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        how.set_chunk((128,))
        how.set_filter(36559, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((len(rows),), (h5py.h5s.UNLIMITED,))
        type_id = h5py.h5t.py_create(kind, logical=True)
        dataset = h5py.h5d.create(group.id, b"events", type_id, space, how)
        for number, chunk in enumerate(chunks):
            dataset.write_direct_chunk((128 * number,), chunk)
        index = np.zeros(rows[-1][0] // 2000 + 1, [("id", "<u8"), ("ts", "<i8")])
        index["ts"] = np.arange(len(index)) * 2000
        index["id"] = np.searchsorted([row[0] for row in rows], index["ts"])
        group["indexes"] = index
        group["indexes"].attrs["offset"] = "0"
        file.attrs["geometry"] = "64x48"
        file.attrs["format"] = "ECF"

    return _hdf5(fill)


def event_stream() -> list[bytes]:
    """Event Stream 2.0 of type dvs."""
    body, last = b"", 0
    for t, x, y, p in events(200):
        wait = t - last
        last = t
        while wait >= 127:
            step = min(wait // 127, 1)
            body += bytes([0b1111_1111])
            wait -= 127 * step
        body += bytes([wait << 1 | p]) + struct.pack("<HH", x, y)
    return [b"Event Stream" + bytes([2, 0, 0, 1]) + struct.pack("<HH", 64, 48) + body]


def aedat4() -> list[bytes]:
    """AEDAT4 as faery writes it."""
    import faery

    rows = np.zeros(200, faery.EVENTS_DTYPE)
    for column, name in enumerate(("t", "x", "y", "on")):
        rows[name] = [row[column] for row in events(200)]
    made = []
    for compression in (None, ("lz4", 1), ("zstd", 1)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sample.aedat4"
            stream = faery.events_stream_from_array(rows, dimensions=(64, 48))
            stream.to_file(path, compression=compression)
            made.append(path.read_bytes())
    return made


def ros1_bags() -> list[bytes]:
    """ROS 1 bags of arrays and packets, one of them with a second topic, and compressed ones."""
    from rosbags.rosbag1 import Writer

    made = []
    with tempfile.TemporaryDirectory() as folder:
        for number, topics in enumerate(_bags()):
            for compression in (None, *(Writer.CompressionFormat if number == 0 else ())):
                path = Path(folder) / f"{number}{compression}.bag"
                made.append(write_ros1(path, topics, compression=compression).read_bytes())
    return made


def sqlite_bags() -> list[bytes]:
    """Databases of ROS 2 bags."""
    return _ros2_bags(mcap=False)


def mcap_bags() -> list[bytes]:
    """MCAP files of ROS 2 bags, one of them compressed."""
    return _ros2_bags(mcap=True)


def _ros2_bags(*, mcap: bool) -> list[bytes]:
    from rosbags.rosbag2 import CompressionMode

    made = []
    with tempfile.TemporaryDirectory() as folder:
        for number, topics in enumerate(_bags()):
            is_compressed = mcap and number == 0
            mode = CompressionMode.STORAGE if is_compressed else None
            path = Path(folder) / str(number)
            bag = write_ros2(path, topics, mcap=mcap, compression=mode)
            made.append(only_file(bag).read_bytes())
    return made


def _bags() -> list[dict[str, list]]:
    """The messages of several bags, as `bag_maker` takes them."""
    rows = events(200)
    parts = [rows[:1], rows[1:90], [], rows[90:]]
    mono = [packet(mono_payload(part), encoding="mono", seq=k) for k, part in enumerate(parts)]
    return [
        {"/dvs": [array(part) for part in parts]},
        {"/camera": [packet(evt3_payload(part), seq=k) for k, part in enumerate(parts)]},
        {"/camera": mono, "/trigger": [packet(bytes(8), encoding="trigger")]},
    ]


def _saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _hdf5(fill: Callable[[h5py.File], None]) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        fill(content)
    return file.getvalue()


def _ecf_times(rows: list[Event]) -> bytes:
    """Start, then steps in time with how many events share them."""
    out, at = struct.pack("<Q", rows[0][0]), rows[0][0]
    counts: dict[int, int] = {}
    for t, *_ in rows:
        counts[t] = counts.get(t, 0) + 1
    for t, count in counts.items():
        step, at = t - at, t
        if step >= 15:
            while step:
                out += bytes([0xF0 | step & 15])
                step >>= 4
        # The step itself is done: what follows counts the events of this time.
        out += bytes([step << 4 | min(count, 15)])
        if count >= 15:
            out += struct.pack("<H", count)
    return out


def _ecf_unpacked(rows: list[Event]) -> bytes:
    out = struct.pack("<I", len(rows) << 2) + _ecf_times(rows)
    for group in _runs([y for _, _, y, _ in rows]):
        value, run = group
        out += struct.pack("<H", value << 5 | min(run, 31))
        out += struct.pack("<H", run) if run >= 31 else b""
    for _, x, _, _ in rows:
        out += struct.pack("<H", x << 5)
    for value, run in _runs([p for *_, p in rows]):
        out += bytes([value << 7 | min(run, 127)]) + (struct.pack("<H", run) if run >= 127 else b"")
    return out


def _ecf_xp_packed(rows: list[Event]) -> bytes:
    out = struct.pack("<I", len(rows) << 2 | 1) + _ecf_times(rows)
    for value, run in _runs([y for _, _, y, _ in rows]):
        out += struct.pack("<H", value << 5 | min(run, 31))
        out += struct.pack("<H", run) if run >= 31 else b""
    return out + _packed([x << 1 | p for _, x, _, p in rows], 4, "<HHH")


def _ecf_yxp_packed(rows: list[Event]) -> bytes:
    out = struct.pack("<I", len(rows) << 2 | 2) + _ecf_times(rows)
    return out + _packed([y << 12 | x << 1 | p for _, x, y, p in rows], 8, "<III")


def _packed(fields: list[int], quarter: int, words: str) -> bytes:
    """Four fields of three quarters of a word in every three words."""
    out = b""
    for first in range(0, len(fields), 4):
        a, b, c, d = (fields[first : first + 4] + [0] * 3)[:4]
        out += struct.pack(
            words,
            a << quarter | b & (1 << quarter) - 1,
            b >> quarter << 2 * quarter | c & (1 << 2 * quarter) - 1,
            c >> 2 * quarter << 3 * quarter | d,
        )
    return out


def _runs(values: list[int]) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for value in values:
        if out and out[-1][0] == value:
            out[-1] = (value, out[-1][1] + 1)
        else:
            out.append((value, 1))
    return out


class Samples(NamedTuple):
    """Valid files of a format."""

    suffix: str
    make: Callable[[], list[bytes]]
    wrap: Callable[[bytes], bytes] = bytes
    """Makes a file of what was damaged."""
    format: str | None = None
    """How they are read, where their content does not tell."""


SAMPLES = {
    "dat": Samples(".dat", dat),
    "evt2": Samples(".raw", evt2),
    "evt21": Samples(".raw", evt21),
    "evt3": Samples(".raw", evt3),
    "payload": Samples(".raw", payload, format="evt3"),
    "ecf": Samples(".hdf5", ecf_chunks, around_chunk),
    "metavision": Samples(".hdf5", metavision),
    "dsec": Samples(".h5", dsec),
    "layouts": Samples(".h5", layouts),
    "npy": Samples(".npy", npy),
    "npz": Samples(".npz", npz),
    "text": Samples(".csv", text),
    "dialects": Samples(".csv", dialects),
    "nmnist": Samples(".bin", nmnist),
    "bag": Samples(".bag", ros1_bags),
    "db3": Samples(".db3", sqlite_bags),
    "mcap": Samples(".mcap", mcap_bags),
    "aedat2": Samples(".aedat", aedat2),
    "aedat3": Samples(".aedat", aedat3),
    "es": Samples(".es", event_stream),
    "aedat4": Samples(".aedat4", aedat4),
}
"""By format, and `ecf` for the chunks inside an HDF5 file."""

FOREIGN = ("aedat4", "es")
"""Formats whose every reading starts a process."""
