import numpy as np
import pytest
from hypothesis import given, strategies as st

from evdet.events.dtypes import SensorSize
from evdet.sources.frame_layout import FrameLayout, fit_events, fit_pictures

SIZES = st.builds(SensorSize, st.integers(1, 900), st.integers(1, 900))
GEN1 = SensorSize(240, 304)


@pytest.fixture(params=[fit_events, fit_pictures])
def fit(request):
    return request.param


@pytest.mark.parametrize(
    ("size", "frame"),
    [
        ((240, 304), (240, 304)),  # the sensor of the training
        ((720, 1280), (360, 640)),  # halved
        ((720, 1280), (256, 448)),  # rounded to multiples of 32
    ],
)
def test_what_training_did_is_done_without_a_word(fit, size, frame, caplog):
    layout = fit("a.dat", SensorSize(*size), SensorSize(*frame))
    assert layout.shown == layout.frame == frame
    assert not caplog.records


# In thousands: 3 % of the larger proportion is 30.
@pytest.mark.parametrize("frame", [(970, 1000), (1000, 970)])
def test_proportions_that_differ_by_3_percent_are_taken_for_rounding(fit, frame, caplog):
    assert fit("a.dat", SensorSize(1000, 1000), SensorSize(*frame)).shown == frame
    assert not caplog.records


@pytest.mark.parametrize("frame", [(969, 1000), (1000, 969)])
def test_proportions_that_differ_by_more_are_kept(fit, frame, caplog):
    assert fit("a.dat", SensorSize(1000, 1000), SensorSize(*frame)).shown == (969, 969)
    assert len(caplog.records) == 1


def test_a_larger_sensor_is_scaled_with_its_proportions_and_that_is_said_once(caplog):
    layout = fit_events("drive.dat", SensorSize(720, 1280), GEN1)
    assert layout.shown == SensorSize(171, 304)
    assert layout.frame == GEN1
    assert [record.getMessage() for record in caplog.records] == [
        "drive.dat is 1280x720 (width x height), and the detector was trained on frames of "
        "304x240 (width x height): it is scaled to 304x171 (width x height) with its "
        "proportions, and the rest of the frame stays empty"
    ]


def test_a_smaller_sensor_keeps_its_pixels(caplog):
    layout = fit_events("drive.dat", SensorSize(120, 152), GEN1)
    assert layout.shown == layout.size
    assert "Objects are smaller than in training" in caplog.text


def test_smaller_pictures_are_enlarged(caplog):
    assert fit_pictures("a.mp4", SensorSize(120, 152), GEN1).shown == GEN1
    assert not caplog.records
    assert fit_pictures("a.mp4", SensorSize(60, 152), GEN1).shown == SensorSize(120, 304)
    assert "the rest of the frame stays black" in caplog.text


@given(SIZES, SIZES)
def test_a_source_fits_its_frame_and_keeps_its_proportions(size, frame):
    for layout in (fit_events("a", size, frame), fit_pictures("a", size, frame)):
        assert layout.frame == frame
        assert all(1 <= side <= room for side, room in zip(layout.shown, frame, strict=True))
        down, across = (layout.shown[k] / layout.size[k] for k in range(2))
        # Half a pixel of rounding in each direction, and one pixel at least.
        slack = 1 / min(layout.size)
        assert abs(across - down) <= 0.031 * max(across, down) + slack


@given(SIZES, SIZES)
def test_events_are_never_scaled_up(size, frame):
    shown = fit_events("a", size, frame).shown
    assert shown.height <= size.height
    assert shown.width <= size.width


def test_padding_is_empty_and_keeps_type_and_content():
    layout = FrameLayout(SensorSize(2, 3), SensorSize(2, 3), SensorSize(4, 5))
    shown = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    frame = layout.pad(shown)
    assert frame.shape == (1, 4, 5)
    assert frame.dtype == np.uint8
    np.testing.assert_array_equal(frame[:, :2, :3], shown)
    assert frame.sum() == shown.sum()
    whole = FrameLayout(SensorSize(2, 3), SensorSize(2, 3), SensorSize(2, 3))
    assert whole.pad(shown) is shown
