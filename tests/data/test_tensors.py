import json
import logging
import sys

import h5py
import hdf5plugin
import numpy as np
import pytest
import torch

from evdet.boxes import BOX_DTYPE
from evdet.data.augment.augmentation import AugmentRules
from evdet.data.clips import FrameSource
from evdet.data.drawn_durations import DurationRange
from evdet.data.folder import open_folder
from evdet.data.frames_file import is_metavision_tensors
from evdet.data.random_clips import RandomClips
from evdet.data.sequential_clips import SequentialClips
from evdet.data.stream_loader import StreamLoader
from evdet.data.tensors import open_tensors
from evdet.events.dtypes import RecordingError
from evdet.frame_spec import FrameSpec
from evdet.labels.box_rules import BoxRules

T = 3
LABEL_MAP = {0: "car", 1: "pedestrian"}


def frames_of(count, channels=2, height=4, width=6, dtype=np.uint8, seed=0):
    values = np.random.default_rng(seed).integers(0, 11, (count, channels, height, width))
    return values.astype(dtype)


def boxes_at(*times, dtype=BOX_DTYPE):
    boxes = np.zeros(len(times), dtype)
    for row, t in enumerate(times):
        boxes[row] = (t, 2, 4, 6, row + 1, row % 2, 0, 1)
    return boxes


def write_metavision(
    root, name, frames, *, times=(), sensor=(8, 12), delta_t=50_000, split="train", **options
):
    """As generate_hdf5 of Metavision writes them."""
    folder = root / split
    folder.mkdir(parents=True, exist_ok=True)
    (root / "label_map_dictionary.json").write_text(json.dumps(LABEL_MAP))
    with h5py.File(folder / f"{name}.h5", "w") as file:
        data = file.create_dataset("data", data=frames, chunks=(1, *frames.shape[1:]), **options)
        data.attrs["events_to_tensor"] = b"histo"
        if delta_t:
            data.attrs["delta_t"] = np.uint32(delta_t)
        data.attrs["event_input_height"], data.attrs["event_input_width"] = sensor
        data.attrs["shape"] = frames.shape[1:]
    np.save(folder / f"{name}_bbox.npy", boxes_at(*times))
    return folder / f"{name}.h5"


def write_rvt(root, name, frames, label_frames, *, boxes_each=2, split="train", suffix=""):
    """As RVT's preprocessing writes them: label k was made at the end of its frame."""
    sequence = root / split / name
    inside = sequence / "event_representations_v2" / "stacked_histogram_dt=50_nbins=10"
    inside.mkdir(parents=True, exist_ok=True)
    (sequence / "labels_v2").mkdir(exist_ok=True)
    (root / "label_map_dictionary.json").write_text(json.dumps(LABEL_MAP))
    # The grid starts anywhere: it is hung up on the first label.
    ends = 17_321 + 50_000 * np.arange(1, len(frames) + 1)
    with h5py.File(inside / f"event_representations{suffix}.h5", "w") as file:
        file.create_dataset(
            "data", data=frames, chunks=(1, *frames.shape[1:]), **hdf5plugin.Blosc(cname="zstd")
        )
    np.save(inside / "timestamps_us.npy", ends)
    np.save(inside / "objframe_idx_2_repr_idx.npy", np.array(label_frames, np.int64))
    times = ends[list(label_frames)]
    np.save(sequence / "labels_v2" / "timestamps_us.npy", times)
    # RVT's files keep the older order of the fields.
    older = ["t", "x", "y", "w", "h", "class_id", "class_confidence", "track_id"]
    boxes = boxes_at(*np.repeat(times, boxes_each))
    labels = np.zeros(len(boxes), [(field, BOX_DTYPE[field]) for field in older])
    for field in older:
        labels[field] = boxes[field]
    np.savez(
        sequence / "labels_v2" / "labels.npz",
        labels=labels,
        objframe_idx_2_label_idx=np.arange(0, len(boxes), boxes_each),
    )
    return sequence


def open_streams(root, **options):
    wanted = {name: options.pop(name) for name in ("delta_t", "height", "width") if name in options}
    fields = {"delta_t": 50_000, "height": 4, "width": 6} | wanted
    spec = FrameSpec(preprocess="ready_made", in_channels=2, **fields) if wanted else None
    source = open_tensors(open_folder(root), "train", spec, num_tbins=T, **options)
    return SequentialClips(source=source)


def play(streams, index=0):
    clips = list(streams.clips(0, index, 0))
    return torch.cat([clip.inputs for clip in clips]), clips


def test_metavision_bytes_reach_the_network_as_shades(tmp_path):
    frames = frames_of(7)
    write_metavision(tmp_path, "drive", frames, times=[50_000, 50_001, 340_000])
    streams = open_streams(tmp_path)
    assert isinstance(streams.source, FrameSource)
    assert streams.clip_shape == (T, 2, 4, 6)
    assert streams.clip_counts(0) == [3]

    batches = list(StreamLoader(streams, batch_size=1))
    inputs = torch.cat([batch["inputs"][:, 0] for batch in batches])
    assert torch.equal(inputs[:7], torch.from_numpy(frames).float() / 255)
    assert not inputs[7:].any()
    labeled = torch.cat([batch["frame_is_labeled"][:, 0] for batch in batches])
    assert labeled.nonzero().flatten().tolist() == [0, 1, 6]
    # The sensor is twice as large as the frames.
    assert batches[0]["labels"][0][0].tolist() == [[1, 2, 4, 2.5, 1]]
    assert batches[0]["labels"][1][0].tolist() == [[1, 2, 4, 3, 2]]
    assert batches[0]["video_infos"][0] == ("drive", 0, 0, 50_000, "", 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_metavision_floats_reach_the_network_as_they_are(tmp_path, dtype):
    frames = frames_of(4, dtype=dtype)
    write_metavision(tmp_path, "drive", frames, times=[50_000], compression="gzip")
    inputs, _ = play(open_streams(tmp_path))
    assert inputs.dtype == torch.float32
    np.testing.assert_array_equal(inputs[:4], frames)


def test_rvt_frames_reach_the_network_as_counts(tmp_path):
    frames = frames_of(8, channels=20, height=8, width=12)
    write_rvt(tmp_path, "drive", frames, [2, 4, 7])
    streams = open_streams(tmp_path)
    batches = list(StreamLoader(streams, batch_size=1, num_workers=1))

    inputs = torch.cat([batch["inputs"][:, 0] for batch in batches])
    assert torch.equal(inputs[:8], torch.from_numpy(frames).float())
    labeled = torch.cat([batch["frame_is_labeled"][:, 0] for batch in batches])
    assert labeled.nonzero().flatten().tolist() == [2, 4, 7]
    assert batches[0]["labels"][2][0].tolist() == [[2, 4, 8, 5, 1], [2, 4, 8, 6, 2]]
    assert streams.source.delta_t == 50_000


def test_half_sized_rvt_frames_have_half_sized_boxes(tmp_path):
    write_rvt(tmp_path, "drive", frames_of(4, channels=20, height=8, width=12), [1], boxes_each=1)
    write_rvt(
        tmp_path, "drive", frames_of(4, channels=20), [1], boxes_each=1, suffix="_ds2_nearest"
    )
    with pytest.raises(ValueError, match=r"has frames of 12x8.*, 6x4.*, of which 2 have"):
        open_streams(tmp_path)
    whole, half = (
        play(open_streams(tmp_path, height=height, width=width))[1][0].labels[1].tolist()
        for height, width in ((8, 12), (4, 6))
    )
    assert whole == [[2, 4, 8, 5, 1]]
    assert half == [[1, 2, 4, 2.5, 1]]


def test_an_rvt_label_at_a_time_without_a_frame_is_outside(tmp_path, caplog):
    sequence = write_rvt(tmp_path, "drive", frames_of(4, channels=20), [1, 3])
    times = np.load(sequence / "labels_v2" / "timestamps_us.npy")
    np.save(sequence / "labels_v2" / "timestamps_us.npy", times + np.array([0, 1]))
    caplog.set_level(logging.INFO)
    streams = open_streams(tmp_path)
    assert streams.source.videos[0].labels.is_labeled.tolist() == [False, True, False, False]
    assert "outside the recording: 2" in caplog.text


def test_playing_starts_anywhere(tmp_path):
    write_metavision(tmp_path, "drive", frames_of(11), times=[50_000])
    streams = open_streams(tmp_path)
    clips = list(streams.clips(0, 0, 0))
    for first in range(5):
        rest = list(streams.clips(0, 0, first))
        assert len(rest) == 4 - first
        for clip, wanted in zip(rest, clips[first:], strict=True):
            assert torch.equal(clip.inputs, wanted.inputs)
            assert clip.info == wanted.info


def test_random_clips_are_drawn_from_frames_too(tmp_path):
    frames = frames_of(7)
    write_metavision(tmp_path, "drive", frames, times=[50_000, 250_000])
    source = open_tensors(open_folder(tmp_path), "train", num_tbins=T)
    clips = [next(RandomClips(source=source).clips(0, index, 0)) for index in range(2)]
    clips.sort(key=lambda clip: int(clip.inputs[0].any()))
    assert not clips[0].inputs[:2].any()
    np.testing.assert_array_equal(clips[0].inputs[2], frames[0])
    np.testing.assert_array_equal(clips[1].inputs, frames[2:5])


def test_frames_are_flipped_with_their_boxes(tmp_path):
    frames = frames_of(3)
    write_metavision(tmp_path, "drive", frames, times=[50_000])
    source = open_tensors(open_folder(tmp_path), "train", num_tbins=T)
    (clip,) = SequentialClips(source=source, augment=AugmentRules(flip_prob=1.0)).clips(0, 0, 0)
    np.testing.assert_array_equal(clip.inputs, frames[..., ::-1])
    assert clip.labels[0].tolist() == [[2, 2, 5, 2.5, 1]]


def test_classes_are_chosen_and_boxes_measured_on_the_sensor(tmp_path):
    write_metavision(tmp_path, "drive", frames_of(5), times=[50_000, 100_000, 150_000, 200_000])
    streams = open_streams(
        tmp_path, classes=("car+pedestrian=any",), rules=BoxRules(min_box_side=3.0)
    )
    _, clips = play(streams)
    boxes = [boxes.tolist() for clip in clips for boxes in clip.labels]
    assert boxes == [[], [], [[1, 2, 4, 3.5, 1]], [[1, 2, 4, 4, 1]], [], []]


def test_a_damaged_frame_is_silent_and_those_after_it_are_not(tmp_path):
    path = write_metavision(
        tmp_path, "drive", frames_of(9), times=range(50_000, 450_001, 50_000), compression="gzip"
    )
    whole, _ = play(open_streams(tmp_path))
    streams, strict = open_streams(tmp_path), open_streams(tmp_path, strict=True)
    with h5py.File(path) as file:
        place = file["data"].id.get_chunk_info(4).byte_offset
    content = bytearray(path.read_bytes())
    content[place : place + 8] = b"\xff" * 8
    path.write_bytes(content)

    inputs, clips = play(streams)
    assert torch.equal(inputs[:3], whole[:3])
    assert not inputs[3:6].any()
    assert torch.equal(inputs[6:], whole[6:])
    assert [bool(clip.info.error) for clip in clips] == [False, True, False]
    assert [clip.frame_is_labeled.all() for clip in clips] == [True, False, True]
    assert clips[1].info.error.startswith(f"{path}: frames 3 to 5 cannot be read")
    with pytest.raises(RecordingError, match="frames 3 to 5 cannot be read"):
        list(strict.clips(0, 0, 0))


def test_a_file_that_shrinks_is_told(tmp_path):
    path = write_metavision(tmp_path, "drive", frames_of(6), times=[50_000])
    streams = open_streams(tmp_path)
    write_metavision(tmp_path, "drive", frames_of(4), times=[50_000])
    clips = list(streams.clips(0, 0, 0))
    assert str(path) in clips[1].info.error
    assert not clips[0].info.error


def test_a_file_without_a_frame_time_is_left_out_and_told(tmp_path):
    write_metavision(tmp_path, "good", frames_of(6), times=[50_000])
    write_metavision(tmp_path, "bad", frames_of(6), times=[50_000], delta_t=0)
    streams = open_streams(tmp_path)
    assert [video.name for video in streams.source.videos] == ["good"]
    assert "no attribute delta_t" in streams.broken["bad"]
    with pytest.raises(RecordingError, match="no attribute delta_t"):
        open_streams(tmp_path, strict=True)


def test_a_missing_plugin_is_named(tmp_path, monkeypatch):
    write_rvt(tmp_path, "drive", frames_of(4, channels=20), [1])
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    with pytest.raises(RecordingError, match=r"filter 32001.*pip install hdf5plugin"):
        open_streams(tmp_path, strict=True)


def test_a_sequence_without_its_index_is_told(tmp_path):
    sequence = write_rvt(tmp_path, "drive", frames_of(4, channels=20), [1])
    next(sequence.glob("*/*/objframe_idx_2_repr_idx.npy")).unlink()
    with pytest.raises(RecordingError, match=r"objframe_idx_2_repr_idx\.npy cannot be read"):
        open_streams(tmp_path, strict=True)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"delta_t": 10_000}, "delta_t is 10000, but the frames of .* have 50000"),
        ({"height": 8}, "height is 8, but the frames of .* have 4"),
        ({"width": 8}, "width is 8, but the frames of .* have 6"),
    ],
)
def test_frames_that_are_not_as_wanted_are_refused(tmp_path, wanted, message):
    write_metavision(tmp_path, "drive", frames_of(6), times=[50_000])
    with pytest.raises(ValueError, match=message):
        open_streams(tmp_path, **wanted)


def test_frames_that_are_not_alike_are_refused(tmp_path):
    write_metavision(tmp_path, "a", frames_of(6), times=[50_000])
    write_metavision(tmp_path, "b", frames_of(6, channels=3), times=[50_000])
    with pytest.raises(ValueError, match=r"shape \(C, H, W\) \(3, 4, 6\), those of .* \(2, 4, 6\)"):
        open_streams(tmp_path)


def test_frames_are_told_from_events(tmp_path):
    assert is_metavision_tensors(write_metavision(tmp_path, "drive", frames_of(2)))
    with h5py.File(tmp_path / "events.h5", "w") as file:
        file["events/t"] = np.arange(3)
    assert not is_metavision_tensors(tmp_path / "events.h5")
    (tmp_path / "text.h5").write_text("no HDF5")
    assert not is_metavision_tensors(tmp_path / "text.h5")
    assert not is_metavision_tensors(tmp_path / "missing.h5")


@pytest.mark.parametrize("streams", [SequentialClips, RandomClips])
def test_frames_that_others_made_keep_their_duration(tmp_path, streams):
    write_metavision(tmp_path, "a", frames_of(6), times=[100_000])
    source = open_tensors(open_folder(tmp_path), "train", num_tbins=T)
    with pytest.raises(ValueError, match="keep this duration: leave the range of delta_t out"):
        streams(source=source, durations=DurationRange(10_000, 100_000))
