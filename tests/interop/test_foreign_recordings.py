"""What others write is read by evdet: the same events."""

import numpy as np
import pytest

from evdet.events import ReadOptions, SensorSize, StreamChoiceError, open_recording
from interop.peers import KINDS, SIZE, differences, make_events, read_with_evdet

pytestmark = pytest.mark.slow

SINCE_1970 = 1_600_000_000_000_000


def write_faery(path, events, **options):
    """Write with faery.

    Returns:
        What faery subtracts from all times: the first, in formats other than AEDAT4 and CSV.
    """
    faery = pytest.importorskip("faery")
    rows = np.zeros(len(events), faery.EVENTS_DTYPE)
    rows["t"], rows["x"], rows["y"], rows["on"] = (events[name] for name in "txyp")
    stream = faery.events_stream_from_array(rows, dimensions=(SIZE.width, SIZE.height))
    return faery.parse_time(stream.to_file(path, **options)).to_microseconds()


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("compression", [None, ("lz4", 1), ("zstd", 1)])
def test_aedat4_of_faery_is_read(tmp_path, kind, compression):
    events = make_events(kind)
    write_faery(tmp_path / "a.aedat4", events, compression=compression)
    assert differences(read_with_evdet(tmp_path / "a.aedat4"), events) == ""


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize(
    ("name", "options"),
    [("a.dat", {}), ("a.raw", {"version": "evt2"}), ("b.raw", {"version": "evt3"})],
)
def test_dat_and_raw_files_of_faery_are_read(tmp_path, name, options, kind):
    events = make_events(kind)
    offset = write_faery(tmp_path / name, events, **options)
    events["t"] -= offset
    assert open_recording(tmp_path / name).size == SIZE
    assert differences(read_with_evdet(tmp_path / name), events) == ""


def test_event_stream_files_of_faery_count_rows_from_the_bottom(tmp_path):
    events = make_events("spread")
    events["t"] -= write_faery(tmp_path / "a.es", events)
    found = read_with_evdet(tmp_path / "a.es")
    events["y"] = SIZE.height - 1 - events["y"]
    assert differences(found, events) == ""


@pytest.mark.parametrize("kind", ["spread", "rows"])
def test_csv_of_faery_is_read(tmp_path, kind):
    events = make_events(kind)
    write_faery(tmp_path / "a.csv", events)
    assert open_recording(tmp_path / "a.csv").size == SIZE
    assert differences(read_with_evdet(tmp_path / "a.csv"), events) == ""


def write_expelliarmus(path, events, encoding):
    wizard = pytest.importorskip("expelliarmus").Wizard
    rows = np.zeros(len(events), [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1")])
    for name in "txyp":
        rows[name] = events[name]
    wizard(encoding=encoding).save(str(path), rows)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_dat_files_of_expelliarmus_are_read(tmp_path, kind):
    events = make_events(kind)
    write_expelliarmus(tmp_path / "a.dat", events, "dat")
    assert differences(read_with_evdet(tmp_path / "a.dat", size=SIZE), events) == ""


@pytest.mark.parametrize("kind", ["spread", "rows"])
@pytest.mark.parametrize("encoding", ["evt2", "evt3"])
def test_raw_files_of_expelliarmus_are_read(tmp_path, kind, encoding):
    # Its header names a camera of 640x480, whatever the events are. Times of its EVT3 files are
    # wrong by up to seconds, for evt3 and faery as well; the rest agrees.
    size = SensorSize(480, 640)
    events = make_events(kind, size=size)
    write_expelliarmus(tmp_path / "a.raw", events, encoding)
    found = read_with_evdet(tmp_path / "a.raw")
    if encoding == "evt3":
        found["t"] = events["t"]
    assert differences(found, events) == ""


def write_evlib(path, events):
    evlib = pytest.importorskip("evlib")
    x, y, p = (events[name].astype(np.int64) for name in "xyp")
    save = evlib.save_events_to_hdf5 if path.suffix == ".h5" else evlib.formats.save_events_to_text
    save(x, y, events["t"] / 1e6, p, str(path))


@pytest.mark.parametrize("kind", ["spread", "rows", "long"])
def test_text_of_evlib_is_read(tmp_path, kind):
    events = make_events(kind)
    write_evlib(tmp_path / "a.txt", events)
    assert differences(read_with_evdet(tmp_path / "a.txt"), events) == ""


@pytest.mark.parametrize("kind", ["spread", "rows", "long"])
def test_hdf5_of_evlib_is_read(tmp_path, kind):
    events = make_events(kind)
    write_evlib(tmp_path / "a.h5", events)
    assert differences(read_with_evdet(tmp_path / "a.h5"), events) == ""


def write_dv(path, streams):
    """Write with dv-processing, each stream under its name."""
    dv = pytest.importorskip("dv_processing")
    config = dv.io.MonoCameraWriter.Config("DVXplorer_DXA00000")
    for name in streams:
        config.addEventStream((SIZE.width, SIZE.height), name)
    writer = dv.io.MonoCameraWriter(str(path), config)
    for name, events in streams.items():
        store = dv.EventStore()
        for t, x, y, p in events.tolist():
            store.push_back(t + SINCE_1970, x, y, bool(p))
        writer.writeEvents(store, name)
    del writer  # which closes the file


@pytest.mark.parametrize("kind", KINDS[1:])
def test_aedat4_of_dv_processing_is_read(tmp_path, kind):
    events = make_events(kind)
    write_dv(tmp_path / "a.aedat4", {"events": events})
    events["t"] += SINCE_1970
    assert open_recording(tmp_path / "a.aedat4").size == SIZE
    assert differences(read_with_evdet(tmp_path / "a.aedat4"), events) == ""


def test_one_of_several_streams_of_dv_processing_must_be_chosen(tmp_path):
    streams = {"left": make_events("spread"), "right": make_events("rows")}
    path = tmp_path / "a.aedat4"
    write_dv(path, streams)
    with pytest.raises(StreamChoiceError, match=r"left.*right"):
        read_with_evdet(path)
    for name, events in streams.items():
        events["t"] += SINCE_1970
        found = read_with_evdet(path, options=ReadOptions(stream=name))
        assert differences(found, events) == "", name
