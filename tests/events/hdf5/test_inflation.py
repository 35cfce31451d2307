"""Compressed chunks that would become larger than the file says are refused, and no others."""

import bz2
import struct
import zlib

import h5py
import hdf5plugin
import numpy as np
import pytest

from evdet.events import RecordingError, open_recording
from evdet.events.hdf5.attributes import stated_number
from evdet.events.hdf5.inflation import CheckedDataset

NUM = 1000
GIANT = (1 << 31) - 8
DEFLATE, SHUFFLE, SZIP, SCALE_OFFSET, BZIP2, LZF = 1, 2, 4, 6, 307, 32000
BLOSC, ZFP, BLOSC2 = 32001, 32013, 32026
BLOSC_VALUES, BLOSC2_VALUES = (2, 2, 8, NUM * 8, 5, 1, 0), (1, 0, 8, NUM * 8, 5, 1, 0)


def deflated(num_bytes):
    packing = zlib.compressobj(9)
    head = packing.compress(bytes(1 << 20)) + packing.flush(zlib.Z_FULL_FLUSH)
    again = packing.compress(bytes(1 << 20)) + packing.flush(zlib.Z_FULL_FLUSH)
    return head + again * (num_bytes >> 20)


def lzf(num_bytes):
    """One literal, then references of 264 bytes to it."""
    return b"\x00a" + b"\xe0\xff\x00" * (num_bytes // 264)


def chunk_of(numbers, filters):
    """As the filter stores it."""
    with h5py.File("x", "w", driver="core", backing_store=False) as file:
        data = file.create_dataset("t", (NUM,), "u8", chunks=(NUM,), **filters)
        data[:] = numbers
        return data.id.read_direct_chunk((0,))[1]


def patched(chunk, *parts):
    chunk = bytearray(chunk)
    for at, form, value in parts:
        struct.pack_into(form, chunk, at, value)
    return bytes(chunk)


def write_chunk(path, filters, chunk, *, mask=0):
    """A recording whose times are one chunk of these bytes."""
    with h5py.File(path, "w") as file:
        for name in "xyp":
            file[f"events/{name}"] = np.ones(NUM, "u1")
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((NUM,))
        for number, values in filters:
            plan.set_filter(number, 0, values)
        space = h5py.h5s.create_simple((NUM,))
        made = h5py.h5d.create(file["events"].id, b"t", h5py.h5t.NATIVE_INT64, space, plan)
        made.write_direct_chunk((0,), chunk, mask)
    return path


def blosc2(numbers, *parts):
    return [(BLOSC2, BLOSC2_VALUES)], patched(chunk_of(numbers, hdf5plugin.Blosc2()), *parts)


def giant_blosc():
    return patched(chunk_of(np.arange(NUM), hdf5plugin.Blosc()), (4, "<I", GIANT))


BOMBS = {
    "deflate": lambda: ([(DEFLATE, (9,))], deflated(3 << 27)),
    "lzf": lambda: ([(LZF, (4, 261, NUM * 8))], lzf(3 << 28)),
    "bzip2": lambda: ([(BZIP2, (9,))], bz2.compress(bytes(1 << 22))),
    "szip": lambda: ([(SZIP, (141, 32, 64, NUM))], struct.pack("<I", GIANT) + bytes(99)),
    "blosc2, the same number": lambda: blosc2(0, (30, ">Q", GIANT), (58, ">I", GIANT)),
    "blosc2, the length of chunks": lambda: blosc2(0, (58, ">I", GIANT)),
    "blosc2, the chunk": lambda: blosc2(np.arange(NUM), (101, "<I", GIANT)),
    "blosc": lambda: ([(BLOSC, BLOSC_VALUES)], giant_blosc()),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_chunk_that_would_become_too_large_is_refused(kind, tmp_path):
    filters, chunk = BOMBS[kind]()
    path = write_chunk(tmp_path / "a.h5", filters, chunk)
    with pytest.raises(RecordingError, match=r"a chunk of /events/t would become [\d,]+ bytes"):
        list(open_recording(path).slices(delta_t=10_000))


@pytest.mark.parametrize(
    ("filters", "chunk", "says"),
    [
        ([(DEFLATE, (9,))] * 2, b"", "compressed several times"),
        ([(BLOSC, BLOSC_VALUES), (SHUFFLE, (8,))], b"", "other filters after its compression"),
        ([(ZFP, (0,) * 4)], b"", "the filter 32013"),
        (*blosc2(np.arange(NUM), (30, ">Q", 1 << 40), (58, ">I", 1)), "in parts of 1"),
        (*blosc2(np.arange(NUM), (39, ">Q", 5)), "index"),
        ([(BLOSC2, BLOSC2_VALUES)], b"no frame at all", "not a frame"),
        ([(BZIP2, (9,))], b"no bzip2", "cannot be inflated"),
    ],
)
def test_what_cannot_be_checked_is_refused(filters, chunk, says, tmp_path):
    path = write_chunk(tmp_path / "a.h5", filters, chunk or bytes(99))
    with pytest.raises(RecordingError, match=says):
        list(open_recording(path).slices(delta_t=10_000))


def test_a_chunk_that_skips_another_filter_is_checked(tmp_path):
    filters = [(SHUFFLE, (8,)), (BLOSC, BLOSC_VALUES)]
    path = write_chunk(tmp_path / "a.h5", filters, giant_blosc(), mask=1)
    with pytest.raises(RecordingError, match="would become"):
        list(open_recording(path).slices(delta_t=10_000))


def test_the_numbers_that_a_filter_states_are_checked(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("t", (NUM,), "u8", chunks=(NUM,), scaleoffset=0)
        data[:] = np.arange(NUM)
    content = path.read_bytes()
    honest = struct.pack("<5I", 2, 0, NUM, 0, 8)
    assert content.count(honest) == 1
    path.write_bytes(content.replace(honest, struct.pack("<5I", 2, 0, 1 << 28, 0, 8)))
    with h5py.File(path) as file, pytest.raises(ValueError, match="would become"):
        CheckedDataset(file["t"])[:]


def test_chunks_beside_the_first_of_a_row_are_checked(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("data", (4, 600), "u8", chunks=(2, 300), **hdf5plugin.Blosc())
        data[:] = np.arange(2400).reshape(4, 600)
        chunk = patched(data.id.read_direct_chunk((2, 300))[1], (4, "<I", GIANT))
        data.id.write_direct_chunk((2, 300), chunk)
    with h5py.File(tmp_path / "a.h5") as file:
        checked = CheckedDataset(file["data"])
        assert checked[:2].tolist() == np.arange(1200).reshape(2, 600).tolist()
        assert checked[2:, :3].tolist() == [[1200, 1201, 1202], [1800, 1801, 1802]]
        with pytest.raises(ValueError, match="would become"):
            checked[3]


def test_the_sensors_size_is_checked(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset(
            "width", (1,), "u8", chunks=(1,), maxshape=(None,), **hdf5plugin.Blosc()
        )
        data.id.write_direct_chunk((0,), giant_blosc())
    with (
        h5py.File(tmp_path / "a.h5") as file,
        pytest.raises(ValueError, match="would become"),
    ):
        stated_number(file, "width", "")


FILTERS = {
    "deflate": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "lzf": {"compression": "lzf"},
    "szip": {"compression": "szip"},
    "scale-offset": {"scaleoffset": 0},
    **{
        name: getattr(hdf5plugin, name)()
        for name in ("BZip2", "Blosc", "Blosc2", "LZ4", "Bitshuffle", "Zstd")
    },
    "bitshuffle alone": hdf5plugin.Bitshuffle(cname="none"),
    "bitshuffle, zstd": hdf5plugin.Bitshuffle(cname="zstd"),
    **{f"Blosc2, {name}": hdf5plugin.Blosc2(name) for name in ("lz4", "zlib", "zstd")},
    "Blosc2, not compressed": hdf5plugin.Blosc2(clevel=0),
}


@pytest.mark.parametrize("shape", [(5000,), (6, 2, 30, 40)])
@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
def test_chunks_as_they_are_written_are_read(filters, shape, tmp_path):
    rng = np.random.default_rng(0)
    values = [np.zeros(shape, "u4"), np.ones(shape, "u4"), rng.integers(0, 1 << 30, shape)]
    chunks = tuple(max(1, side * 2 // 3) for side in shape)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number, content in enumerate(values):
            data = file.create_dataset(str(number), shape, "u4", chunks=chunks, **filters)
            data[...] = content
            np.testing.assert_array_equal(CheckedDataset(data)[...], content)
            np.testing.assert_array_equal(CheckedDataset(data)[3:5], content[3:5])


def test_large_chunks_are_inflated_to_be_counted(tmp_path):
    content = np.random.default_rng(0).integers(0, 1 << 40, 1 << 18)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number, name in enumerate(("gzip", "lzf")):
            data = file.create_dataset(
                str(number), data=content.repeat(4), chunks=(1 << 20,), compression=name
            )
            assert data.id.get_storage_size() > 1 << 20
            np.testing.assert_array_equal(CheckedDataset(data)[-9:], content.repeat(4)[-9:])
