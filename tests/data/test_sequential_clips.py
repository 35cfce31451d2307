import dataclasses
import logging
from itertools import pairwise

import numpy as np
import pytest
import torch

from evdet.data import sequential_clips as recording_streams
from evdet.data.augment.augmentation import AugmentRules
from evdet.data.recording_frames import RecordingFrames
from evdet.data.sequential_clips import SequentialClips
from evdet.data.stream_loader import StreamLoader, Streams
from evdet.events.dat.reader import write_dat
from evdet.events.dtypes import EVENT_DTYPE, RecordingError
from evdet.events.hdf5.writer import write_dsec
from evdet.events.noise import filter_background_activity
from evdet.events.raw.writer import write_evt3
from evdet.events.recording import open_recording
from evdet.events.representations.functions import histogram, stacked_histogram
from evdet.frame_spec import FrameSpec
from evdet.labels.box_rules import BoxRules

T = 3
SPEC = FrameSpec(preprocess="histogram", delta_t=1000, height=24, width=32, in_channels=2)
EVERYTHING = AugmentRules(
    flip_prob=0.5, zoom_in_prob=0.4, zoom_out_prob=0.3, crop_prob=0.3, drop_prob=0.5,
    noise_prob=0.5, max_noise_rate=100.0, swap_prob=0.5,
)  # fmt: skip


def open_streams(maker, *, augment=None, seed=0, **options):
    source = maker.open_recordings(**{"num_tbins": T, **options})
    return SequentialClips(source=source, augment=augment, seed=seed)


def add_three(maker):
    """21, 8 and 13 bins: 7, 3 and 5 clips."""
    maker.add("a", 0, 20_500, range(1000, 20_000, 1500))
    maker.add("b", 5_000_700, 5_007_500, [5_002_000, 5_004_100])
    maker.add("c", 3200, 15_999, [4000, 15_000])


def same(first, second):
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, np.ndarray):
        return np.array_equal(first, second)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    return first == second


def test_no_recordings_are_no_clips():
    streams = SequentialClips(source=RecordingFrames(videos=[], spec=SPEC))
    assert isinstance(streams, Streams)
    assert streams.clip_counts(0) == []


def test_clips_are_counted_from_the_first_event_to_the_last_label(maker):
    add_three(maker)
    assert open_streams(maker).clip_counts(0) == [7, 2, 4]


def test_labels_after_the_last_event_are_no_clips(maker):
    maker.add("a", 0, 3999, [1000, 90_000])
    assert open_streams(maker).clip_counts(0) == [2]


def test_a_clip_shows_the_slices_of_the_recording(maker):
    path = maker.add("a", 1_000_700, 1_008_999, [1_002_000, 1_008_999])
    clips = list(open_streams(maker).clips(0, 0, 0))
    slices = list(open_recording(path).slices(maker.delta_t))

    frames = torch.cat([clip.inputs for clip in clips])
    assert frames.dtype == torch.float32
    for frame, (start, delta_t, events) in zip(frames, slices, strict=True):
        wanted = histogram(events, maker.size, start=start, delta_t=delta_t)
        np.testing.assert_array_equal(frame, wanted)
    assert [clip.info for clip in clips] == [("a", 0, k, maker.delta_t, "", 0) for k in (0, 3, 6)]


def test_boxes_stand_at_the_bins_that_end_with_their_time(maker):
    # 3.2 ms is in the bin of 3 ms, which is the first.
    maker.add("a", 3200, 9999, [4000, 4001, 5000, 9500])
    clips = list(open_streams(maker).clips(0, 0, 0))

    labeled = np.concatenate([clip.frame_is_labeled for clip in clips])
    boxes = [boxes.tolist() for clip in clips for boxes in clip.labels]
    assert labeled.tolist() == [True, True, False, False, False, False, True, False, False]
    assert boxes[0] == [[4, 2, 12, 3, 1]]
    assert boxes[1] == [[4, 2, 12, 5, 1]]  # that of 4001 is superseded
    assert boxes[6] == [[4, 2, 12, 6, 2]]
    assert sum(map(len, boxes)) == 3


def test_the_last_clip_is_padded_with_empty_frames(maker):
    maker.add("a", 0, 3999, [4000])
    last = list(open_streams(maker).clips(0, 0, 0))[-1]
    assert last.frame_is_labeled.tolist() == [True, False, False]
    assert last.inputs[0].any()
    assert not last.inputs[1:].any()
    assert last.info.num_padding == 2


@pytest.mark.parametrize("per_seek", [1, 128])
@pytest.mark.parametrize("start", [0, 1, 3, 5, 20])
def test_a_recording_that_is_played_from_a_bin_is_the_rest_of_it(
    maker, monkeypatch, start, per_seek
):
    monkeypatch.setattr(recording_streams, "_PER_SEEK", per_seek)
    maker.add("a", 300, 20_500, range(1000, 21_000, 1500))
    whole = open_streams(maker, num_tbins=1)
    streams = dataclasses.replace(open_streams(maker), starts=[start])
    wanted = list(whole.clips(0, 0, 0))[start:]

    assert streams.clip_counts(0) == [-(-len(wanted) // T)]
    clips = list(streams.clips(0, 0, 0))
    frames = torch.cat([clip.inputs for clip in clips])
    assert torch.equal(frames[: len(wanted)], torch.cat([clip.inputs for clip in wanted]))
    assert not frames[len(wanted) :].any()
    labels = [boxes for clip in clips for boxes in clip.labels]
    assert same(labels[: len(wanted)], [clip.labels[0] for clip in wanted])
    labeled = np.concatenate([clip.frame_is_labeled for clip in clips])
    assert labeled.tolist()[: len(wanted)] == [bool(one.frame_is_labeled[0]) for one in wanted]
    assert [clip.info.first_frame for clip in clips] == list(range(0, len(wanted), T))
    assert clips[-1].info.num_padding == len(frames) - len(wanted)
    for first in range(len(clips)):
        assert same(list(streams.clips(0, 0, first)), clips[first:])


def test_bins_before_the_start_are_not_read(maker):
    path = maker.add("a", 0, 29_999, range(1000, 30_001, 1000))
    maker.damage(path, 13_300)
    with_damage = dataclasses.replace(open_streams(maker), starts=[12])
    after = dataclasses.replace(open_streams(maker), starts=[14])
    assert any(clip.info.error for clip in with_damage.clips(0, 0, 0))
    assert not any(clip.info.error for clip in after.clips(0, 0, 0))


def test_a_recording_without_a_start_is_not_played(maker):
    add_three(maker)
    streams = dataclasses.replace(open_streams(maker), starts=[18, None, 0])
    assert streams.clip_counts(0) == [1, 0, 4]
    names = [
        info.name
        for batch in StreamLoader(streams, batch_size=2, num_workers=2)
        for info in batch["video_infos"]
        if info.index >= 0
    ]
    assert sorted(names) == ["a"] + ["c"] * 4


@pytest.mark.parametrize("starts", [[], [0], [20, 0, 0], [-1, 0, 0], [0, 0, 0, 0]])
def test_a_start_outside_the_recording_is_refused(maker, starts):
    add_three(maker)
    with pytest.raises(ValueError, match="start"):
        dataclasses.replace(open_streams(maker), starts=starts)


def test_smaller_frames_have_smaller_boxes(maker):
    path = maker.add("a", 0, 2999, [1000])
    clip = next(open_streams(maker, height=12, width=8).clips(0, 0, 0))
    assert clip.labels[0].tolist() == [[1, 1, 3, 1.5, 1]]
    events = open_recording(path).slice(0, 1000)
    np.testing.assert_array_equal(
        clip.inputs[0], histogram(events, maker.size, start=0, delta_t=1000, out_size=(12, 8))
    )


def test_frames_of_bytes_reach_the_network_as_counts(maker):
    path = maker.add("a", 0, 2999, [1000], rate=3)
    streams = open_streams(maker, preprocess="stacked_histogram", in_channels=20)
    assert next(streams.clips(0, 0, 0)).inputs.dtype == torch.uint8

    batch = next(iter(StreamLoader(streams, batch_size=1, num_workers=1)))
    counts = stacked_histogram(
        open_recording(path).slice(0, 1000), maker.size, start=0, delta_t=1000
    )
    assert counts.max() > 1
    np.testing.assert_array_equal(batch["inputs"][0, 0], counts)


def test_classes_are_chosen_and_merged_and_small_boxes_left_out(maker, caplog):
    maker.add("a", 0, 9999, [1000, 2000, 3000, 4000])  # heights 1 to 4: car, bus, car, bus
    caplog.set_level(logging.INFO)
    streams = open_streams(maker, classes=("bus",), rules=BoxRules(min_box_side=3.0))
    clips = list(streams.clips(0, 0, 0))

    boxes = np.concatenate([boxes for clip in clips for boxes in clip.labels])
    assert boxes.tolist() == [[4, 2, 12, 6, 1]]
    # The other frames are annotated, too.
    assert sum(clip.frame_is_labeled.sum() for clip in clips) == 4
    assert "class car not chosen: 2; side too short: 1" in caplog.text


def test_a_recording_without_a_label_is_left_out(maker, caplog):
    maker.add("a", 0, 9999, [1000])
    maker.add("b", 0, 9999)
    assert [video.name for video in open_streams(maker).source.videos] == ["a"]
    assert "1 recording without a label left out: b" in caplog.text


@pytest.mark.parametrize("augment", [None, EVERYTHING])
@pytest.mark.parametrize("per_seek", [1, 2, 128])
def test_resuming_anywhere_plays_the_rest(maker, monkeypatch, augment, per_seek):
    monkeypatch.setattr(recording_streams, "_PER_SEEK", per_seek)
    add_three(maker)
    streams = open_streams(maker, augment=augment)
    for index, count in enumerate(streams.clip_counts(1)):
        whole = list(streams.clips(1, index, 0))
        assert len(whole) == count
        for first in range(count + 1):
            assert same(list(streams.clips(1, index, first)), whole[first:])


@pytest.mark.slow
@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_workers_and_processes_change_no_clip(maker, world_size):
    add_three(maker)
    streams = open_streams(maker, augment=EVERYTHING, seed=3)
    clips = {}
    for num_workers in (0, 1, 2, 4):
        played = []
        for rank in range(world_size):
            loader = StreamLoader(
                streams,
                batch_size=2,
                num_workers=num_workers,
                seed=3,
                rank=rank,
                world_size=world_size,
            )
            batches = list(loader)
            assert len(batches) == len(loader)
            played.append(batches)
        clips.setdefault("alone", played)
        assert same(played, clips["alone"])
    infos = [
        info
        for batches in clips["alone"]
        for batch in batches
        for info in batch["video_infos"]
        if info.index >= 0
    ]
    assert len(infos) == len(set(infos)) == 7 + 2 + 4


def test_memory_is_kept_within_a_recording_and_cleared_between(maker):
    add_three(maker)
    batches = list(StreamLoader(open_streams(maker), batch_size=1))
    for before, after in pairwise(batches):
        goes_on = before["video_infos"][0].index == after["video_infos"][0].index
        assert after["mask_keep_memory"].item() == goes_on
    assert batches[0]["mask_keep_memory"].item() == 0


def test_each_recording_and_epoch_is_augmented_once(maker):
    add_three(maker)
    plain, flips = open_streams(maker), open_streams(maker, augment=AugmentRules(flip_prob=0.5))
    drawn = []
    for epoch in range(6):
        for index in range(3):
            clips = list(flips.clips(epoch, index, 0))
            originals = list(plain.clips(epoch, index, 0))
            is_flipped = not torch.equal(clips[0].inputs, originals[0].inputs)
            drawn.append(is_flipped)
            for clip, original in zip(clips, originals, strict=True):
                wanted = original.inputs.flip(-1) if is_flipped else original.inputs
                assert torch.equal(clip.inputs, wanted)
                for boxes, there in zip(clip.labels, original.labels, strict=True):
                    mirrored = there * [-1, 1, -1, 1, 1] + [32, 0, 32, 0, 0]
                    wanted = mirrored[:, [2, 1, 0, 3, 4]] if is_flipped else there
                    assert np.array_equal(boxes, wanted)
    assert {True, False} == set(drawn)


def test_a_stream_is_not_played_backwards(maker):
    add_three(maker)
    with pytest.raises(ValueError, match="a stream cannot be played backwards"):
        open_streams(maker, augment=AugmentRules(reverse_prob=0.5))


@pytest.mark.parametrize("per_seek", [2, 128])
def test_where_a_recording_is_damaged_frames_are_empty(maker, monkeypatch, per_seek):
    monkeypatch.setattr(recording_streams, "_PER_SEEK", per_seek)
    path = maker.add("a", 0, 29_999, range(1000, 30_001, 1000))
    whole = list(open_streams(maker).clips(0, 0, 0))
    maker.damage(path, 13_300)
    streams = open_streams(maker)
    assert streams.clip_counts(0) == [10]
    clips = list(streams.clips(0, 0, 0))

    assert same(clips[:4], whole[:4])
    for clip in clips[4 : 6 if per_seek == 2 else 10]:
        assert "outside the sensor" in clip.info.error
        assert str(path) in clip.info.error
    # Two bins of the fifth clip lie before the damage, the second up to it.
    assert torch.equal(clips[4].inputs[0], whole[4].inputs[0])
    assert clips[4].frame_is_labeled.tolist() == [True, True, False]
    assert not clips[5].inputs.any()
    assert not clips[5].frame_is_labeled.any()
    assert not any(map(len, clips[5].labels))
    if per_seek == 2:
        assert same(clips[6:], whole[6:])
    for first in range(11):
        assert same(list(streams.clips(0, 0, first)), clips[first:])


def test_a_broken_recording_keeps_its_lane_in_step(maker, caplog):
    add_three(maker)
    whole = list(StreamLoader(open_streams(maker), batch_size=2))
    maker.damage(maker.path / "train" / "a_td.dat", 10_000)
    for num_workers in (0, 2):
        loader = StreamLoader(open_streams(maker), batch_size=2, num_workers=num_workers)
        batches = list(loader)
        assert len(batches) == len(whole)
        for batch, wanted in zip(batches, whole, strict=True):
            for lane in range(2):
                info = batch["video_infos"][lane]
                assert info._replace(error="") == wanted["video_infos"][lane]
                if info.index != 0:
                    assert torch.equal(batch["inputs"][:, lane], wanted["inputs"][:, lane])
        assert list(loader.broken) == ["a"]
        assert "outside the sensor" in loader.broken["a"]
    assert len([one for one in caplog.records if one.args[:1] == ("a",)]) == 2  # loaders


def test_what_broke_is_told_for_one_epoch(maker):
    add_three(maker)
    maker.damage(maker.path / "train" / "a_td.dat", 10_000)
    loader = StreamLoader(open_streams(maker), batch_size=2)
    assert loader.broken == {}
    list(loader)
    assert list(loader.broken) == ["a"]
    next(iter(loader))
    assert loader.broken == {}


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_strict_training_stops_at_damage(maker, num_workers):
    path = maker.add("a", 0, 29_999, [1000, 29_999])
    maker.damage(path, 13_300)
    loader = StreamLoader(open_streams(maker, strict=True), batch_size=1, num_workers=num_workers)
    batches = iter(loader)
    for _ in range(4):
        next(batches)
    with pytest.raises(RecordingError, match="outside the sensor"):
        next(batches)


def test_what_cannot_be_opened_is_left_out_and_told(maker, caplog):
    add_three(maker)
    path = maker.path / "train" / "b_td.dat"
    path.write_bytes(b"")
    loader = StreamLoader(open_streams(maker), batch_size=1)
    assert {info.name for batch in loader for info in batch["video_infos"]} == {"a", "c"}
    assert list(loader.broken) == ["b"]
    assert "b is left out." in caplog.text
    with pytest.raises(RecordingError, match="is empty"):
        open_streams(maker, strict=True)


def test_a_recording_whose_first_event_is_damaged_is_left_out_for_that_reason(maker, caplog):
    add_three(maker)
    path = maker.path / "train" / "b_td.dat"
    path.unlink()
    header = b"% evt 2.0\n% geometry 8x8\n% end\n"
    words = np.array([0x8 << 28 | 5_000_700 >> 6, 20 << 11 | 3], "<u4")
    path.with_suffix(".raw").write_bytes(header + words.tobytes())
    assert list(open_streams(maker).source.broken) == ["b"]
    assert "outside the sensor 8x8" in caplog.text
    assert "--sensor-size WxH" in caplog.text
    caplog.clear()
    assert open_streams(maker, sensor_size=maker.size).source.broken == {}


def test_a_file_that_ends_within_an_event_is_used_with_one_warning(maker, caplog):
    path = maker.add("a", 0, 8999, [9000])
    whole = list(open_streams(maker).clips(0, 0, 0))
    path.write_bytes(path.read_bytes() + b"\x01\x02")
    streams = open_streams(maker)
    for _ in range(2):
        clips = list(streams.clips(0, 0, 0))
        assert clips[-1].frame_is_labeled.any()
        assert not clips[-1].info.error
        assert torch.equal(clips[-1].inputs, whole[-1].inputs)
    assert caplog.text.count("ends within event") == 1
    with pytest.raises(RecordingError, match="ends within event"):
        open_streams(maker, strict=True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"height": 25}, "frames of 32x25 .* are larger than the sensor of .*, 32x24"),
        ({"preprocess": "picture"}, "preprocess must be one of diff, .* got 'picture'"),
        ({"num_tbins": 0}, "num_tbins must be at least 1, got 0"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"background_filter": -1}, "background_filter must be 0 or more microseconds, got -1"),
        ({"classes": ("tram",)}, "the label map has no class 'tram'"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(maker, wrong, message):
    add_three(maker)
    with pytest.raises(ValueError, match=message):
        open_streams(maker, **wrong)


def test_a_split_that_is_not_there_is_named(maker):
    add_three(maker)
    with pytest.raises(ValueError, match="has no val/ with recordings, only train"):
        maker.open_recordings("val")


def add_noisy(maker):
    """Random events, and one pixel that fires every 50 us."""
    path = maker.add("a", 0, 59_999, range(1000, 60_001, 1000), rate=0.5)
    events = np.concatenate([open_recording(path).slice(0, 60_000), np.zeros(1200, EVENT_DTYPE)])
    events["t"][-1200:] = np.arange(1200) * 50
    events["x"][-1200:], events["y"][-1200:] = 7, 9
    write_dat(path, [events[np.argsort(events["t"], kind="stable")]], maker.size)
    return path


def test_hot_pixels_are_left_out_and_counted(maker, caplog):
    path = add_noisy(maker)
    caplog.set_level(logging.INFO)
    streams = open_streams(maker, remove_hot_pixels=True)
    clips = list(streams.clips(0, 0, 0))

    events = open_recording(path).slice(0, 60_000)
    is_hot = (events["x"] == 7) & (events["y"] == 9)
    assert "hot pixels: 1" in caplog.text
    assert not any(clip.inputs[:, :, 9, 7].any() for clip in clips)
    assert sum(clip.counts["events of hot pixels"] for clip in clips) == is_hot.sum()
    loader = StreamLoader(streams, batch_size=1, num_workers=1)
    list(loader)
    assert loader.counts == {"events of hot pixels": is_hot.sum()}


@pytest.mark.parametrize("per_seek", [2, 128])
@pytest.mark.parametrize("window", [700, 2500])
def test_background_activity_is_left_out_wherever_playing_starts(
    maker, monkeypatch, per_seek, window
):
    monkeypatch.setattr(recording_streams, "_PER_SEEK", per_seek)
    path = add_noisy(maker)
    streams = open_streams(maker, background_filter=window)
    clips = list(streams.clips(0, 0, 0))

    events = open_recording(path).slice(0, 60_000)
    kept, _ = filter_background_activity(events, maker.size, window_us=window)
    assert 0 < len(kept) < len(events)
    removed = sum(clip.counts.get("events of background activity", 0) for clip in clips)
    assert removed == len(events) - len(kept)
    for first in (1, 3, 4, 19):
        assert same(list(streams.clips(0, 0, first)), clips[first:])


def as_hdf5(path, events, size):
    write_dsec(path.with_suffix(".h5"), [events], size)


def as_raw(path, events, size):
    write_evt3(path.with_suffix(".raw"), [events], size)


def as_npy(path, events, size):
    np.save(path.with_suffix(".npy"), events)


@pytest.mark.slow
@pytest.mark.parametrize("write", [as_hdf5, as_raw, as_npy])
def test_every_format_plays_the_same_from_anywhere_in_any_process(maker, write):
    path = maker.add("a", 0, 59_999, range(1000, 60_001, 1000), rate=2)
    options = {"sensor_size": maker.size, "background_filter": 500}
    wanted = list(open_streams(maker, **options).clips(0, 0, 0))
    write(path, open_recording(path).slice(0, 60_000), maker.size)
    path.unlink()

    streams = open_streams(maker, **options)
    for first in (0, 1, 7, 19):
        assert same(list(streams.clips(0, 0, first)), wanted[first:])
    loader = StreamLoader(streams, batch_size=1, num_workers=1)
    for epoch in range(2):
        loader.set_position(epoch, 3)
        for batch, clip in zip(loader, wanted[3:], strict=True):
            assert torch.equal(batch["inputs"][:, 0], clip.inputs)


def test_a_recording_that_would_last_for_weeks_is_left_out_and_told(maker):
    add_three(maker)
    events = np.zeros(30, EVENT_DTYPE)
    events["t"][-1] = 10**14
    np.save(maker.path / "train" / "d.npy", events)
    np.save(maker.path / "train" / "d_bbox.npy", np.load(maker.path / "train" / "a_bbox.npy"))
    streams = open_streams(maker, sensor_size=maker.size)
    assert len(streams.source.videos) == 3
    assert "Is its time in microseconds?" in streams.broken["d"]
