import numpy as np
import pytest

from evdet.boxes import BOX_DTYPE
from evdet.evaluation import measure_further
from evdet.evaluation.further_scores import track_recording
from evdet.metrics import PROTOCOLS, ScoredRecording
from evdet.tracking import Tracker

DELTA_T = 50_000
COCO, PEROT = PROTOCOLS["coco"], PROTOCOLS["perot2020-gen1"]


def drive(*, tracks=True, score=0.9, gap=()):
    """An object that moves slowly through 20 windows, and is found except in a gap."""
    truth = np.zeros(20, BOX_DTYPE)
    truth["t"] = np.arange(1, 21) * DELTA_T
    truth["x"] = 10 + np.arange(20)
    truth["w"], truth["h"], truth["class_id"], truth["class_confidence"] = 40, 40, 1, 1
    found = np.delete(truth, list(gap))
    found["class_confidence"] = score
    truth["track_id"] = 5 if tracks else 0
    return ScoredRecording("drive", truth, truth["t"].copy(), found)


def measure(recordings, protocol=COCO, **options):
    return measure_further(
        recordings, ("car",), protocol, size=(240, 304), **{"delta_t": DELTA_T, **options}
    )


def test_without_recordings_curves_say_why_they_are_empty():
    further = measure([])
    assert further.curves["num_recordings"] == 0
    assert further.tracks is None


def test_curves_look_at_what_the_protocol_counts():
    assert measure([drive()]).curves["num_truths"] == 20
    # The first half second, ten windows, is skipped.
    assert measure([drive()], PEROT).curves["num_truths"] == 10


def test_without_the_duration_of_a_bin_there_are_no_curves():
    assert measure([drive()], delta_t=0).curves is None


def test_tracks_are_scored_where_both_sides_have_them():
    pytest.importorskip("trackers")
    without = measure([drive(tracks=False)], scores_tracks=True, tracker=Tracker("bytetrack"))
    assert without.tracks is None
    assert "the labels have no tracks" in without.notes[0]
    untracked = measure([drive()], scores_tracks=True)
    assert "no track scores: none of the 20 detections has a track" in untracked.notes[0]
    unsure = measure([drive(score=0.1)], scores_tracks=True, tracker=Tracker("bytetrack"))
    assert "bytetrack found no track" in unsure.notes[0]

    tracked = measure([drive()], scores_tracks=True, tracker=Tracker("bytetrack"))
    assert tracked.notes == ()
    assert tracked.tracks["tracker"] == "bytetrack"
    assert tracked.tracks["IDF1"] > 0.9


def test_a_recording_without_detections_has_nothing_to_track():
    empty = drive(gap=range(20))
    assert track_recording(empty, Tracker("sort"), DELTA_T) is empty


def test_windows_in_which_nothing_was_found_make_tracks_older():
    pytest.importorskip("trackers")
    # Three windows: the track goes on. Two seconds would end it, as a tracker's lost_time says.
    short = track_recording(drive(gap=range(8, 11)), Tracker("bytetrack"), DELTA_T)
    assert len(np.unique(short.detections["track_id"][3:])) == 1
    assert len(short.detections) == 17
