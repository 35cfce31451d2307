"""Archives of arrays: columns or one table, several streams, damage, and bombs."""

import pickle
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from evdet.events import EVENT_DTYPE, ReadOptions, RecordingError, SensorSize, StreamChoiceError
from evdet.events.arrays.npz import open_npz
from evdet.events.readers import open_event_file

NUM = 400


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    made = np.zeros(NUM, EVENT_DTYPE)
    made["t"] = np.sort(rng.integers(0, 400_000, NUM))
    made["x"], made["y"] = rng.integers(0, 346, NUM), rng.integers(0, 260, NUM)
    made["p"] = rng.integers(0, 2, NUM)
    return made


def columns(events, *, prefix="", names="txyp"):
    return {prefix + name: events[field] for name, field in zip(names, "txyp", strict=True)}


def table(events, order="txyp"):
    return np.stack([events[name].astype(np.int64) for name in order], axis=1)


def npz_of(folder, save=np.savez, **arrays):
    save(folder / "a.npz", **arrays)
    return folder / "a.npz"


def read(path, **options):
    file = open_event_file(path, ReadOptions(**options))
    return np.concatenate([np.empty(0, EVENT_DTYPE), *file.blocks()])


def test_columns_without_rows_have_no_events(tmp_path, events):
    file = open_npz(npz_of(tmp_path, **columns(events[:0])))
    assert (file.num_events, file.start, file.end) == (0, None, None)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    "make",
    [
        columns,
        lambda e: columns(e, names=("timestamp_us", "px", "py", "polarity")),
        lambda e: columns(e, prefix="events_") | {"labels": np.zeros((9, 4))},
        lambda e: columns(e, prefix="dvs/") | {"frames": np.zeros((2, 3, 3))},
        lambda e: {**columns(e), "p": e["p"].astype(bool), "t": e["t"] / 1e6},
        lambda e: {"arr_0": table(e)},
        lambda e: {"events": table(e, "xytp"), "boxes": np.arange(40).reshape(10, 4)},
        lambda e: {"events": table(e, "xytp").T},
        lambda e: {"events": np.asfortranarray(table(e, "xypt"))},
        lambda e: {"event_data": np.rec.fromarrays([e[name] for name in "xytp"], names="x,y,t,p")},
    ],
)
def test_events_are_found_under_usual_names(tmp_path, events, make, save):
    np.testing.assert_array_equal(read(npz_of(tmp_path, save, **make(events))), events)


def test_the_size_is_read_where_it_is_stated(tmp_path, events):
    path = npz_of(tmp_path, **columns(events), width=346, height=260)
    assert open_npz(path).stated_size == SensorSize(260, 346)


@pytest.mark.parametrize("make", [columns, lambda e, prefix: {prefix: table(e)}])
def test_of_several_streams_none_is_taken_silently(tmp_path, events, make):
    right = events.copy()
    right["x"] = 345 - right["x"]
    ending = "_" if make is columns else ""
    arrays = make(events, prefix="left" + ending) | make(right, prefix="right" + ending)
    path = npz_of(tmp_path, **arrays)
    with pytest.raises(StreamChoiceError, match="2 streams of events: left, right") as caught:
        open_npz(path)
    assert caught.value.streams == ("left", "right")
    np.testing.assert_array_equal(read(path, stream="left"), events)
    np.testing.assert_array_equal(read(path, stream="right"), right)


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({}, "has no events: it has nothing"),
        ({"a": np.zeros(3), "b": np.zeros((2, 3))}, r"a float64 \(3,\), b float64 \(2, 3\)"),
        ({"a": np.array([{}], object)}, r"a\.npy; arrays of Python objects are not loaded"),
        ({"t": np.zeros(3), "x": np.zeros(3), "y": np.zeros(3), "p": np.zeros(2)}, "t 3, .*p 2"),
        ({"t": np.zeros(3, "S3"), **dict.fromkeys("xyp", np.zeros(3))}, r"t is \|S3, not numbers"),
    ],
)
def test_arrays_of_something_else_are_listed(tmp_path, arrays, why):
    with pytest.raises(RecordingError, match=rf"a\.npz.*{why}"):
        open_npz(npz_of(tmp_path, **arrays))


def test_a_zip_archive_of_other_files_is_not_one_of_arrays(tmp_path, events):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", "5 1 2 1\n")
    with pytest.raises(RecordingError, match=r"a\.zip: it is a zip archive. Unpack it"):
        open_event_file(tmp_path / "a.zip", ReadOptions())
    npz_of(tmp_path, **columns(events)).rename(tmp_path / "b.zip")
    np.testing.assert_array_equal(read(tmp_path / "b.zip"), events)


def test_an_archive_that_is_cut_is_refused(tmp_path, events):
    path = npz_of(tmp_path, **columns(events))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(RecordingError, match=r"not a complete .npz file"):
        open_npz(path)


def test_arrays_shorter_than_stated_give_what_is_whole(tmp_path, events):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name in "txyp":
            np.save(tmp_path / "one.npy", events[name])
            content = (tmp_path / "one.npy").read_bytes()
            kept = events[name].itemsize * (NUM - 100 if name == "y" else NUM)
            archive.writestr(f"{name}.npy", content[: len(content) - events[name].nbytes + kept])
    delivered = []
    with pytest.raises(RecordingError, match=f"its arrays end at row {NUM - 100} of {NUM}"):
        delivered.extend(open_npz(tmp_path / "a.npz").blocks())
    np.testing.assert_array_equal(np.concatenate(delivered), events[:-100])


def test_memory_does_not_grow_with_what_an_archive_unpacks_to(tmp_path):
    """64 MB of events in 64 kB: a block at a time is unpacked."""
    rows = 1 << 23
    header = (
        b"\x93NUMPY\x01\x00\x76\x00"
        + (
            f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({rows},), }}".ljust(117) + "\n"
        ).encode()
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in "txyp":
            archive.writestr(f"{name}.npy", header + bytes(rows))
    file = open_npz(tmp_path / "a.npz")
    tracemalloc.start()
    num_read = 0
    for block in file._converted():
        num_read += len(block)
        if num_read > rows // 8:
            break
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20


def test_a_row_that_is_no_event_is_named(tmp_path, events):
    broken = {**columns(events), "p": events["p"].astype(int)}
    broken["p"][70] = 7
    delivered = []
    with pytest.raises(RecordingError, match="row 70 has p=7"):
        delivered.extend(open_npz(npz_of(tmp_path, **broken)).blocks())
    np.testing.assert_array_equal(np.concatenate(delivered), events[:70])


def test_columns_with_names_have_no_order_to_choose(tmp_path, events):
    path = npz_of(tmp_path, **columns(events))
    with pytest.raises(RecordingError, match=r"columns with names.*leave --columns out"):
        read(path, columns="txyp")


def test_a_copy_in_another_process_reads_the_same(tmp_path, events):
    file = pickle.loads(pickle.dumps(open_npz(npz_of(tmp_path, **columns(events)))))
    np.testing.assert_array_equal(np.concatenate(list(file.blocks())), events)


def test_a_damaged_member_is_refused_after_what_came_before(tmp_path, events):
    path = npz_of(tmp_path, np.savez_compressed, **columns(events))
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("t.npy").header_offset
    content[at + 200 : at + 260] = zlib.compress(b"x" * 200)[:60].ljust(60, b"\xff")
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r"a\.npz"):
        list(open_npz(path).blocks())
