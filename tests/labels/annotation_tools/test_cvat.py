import textwrap

import pytest

from evdet.boxes import BOX_DTYPE
from evdet.events.dtypes import SensorSize
from evdet.labels import LabelError, RecordingSpan, read_boxes

LABEL_MAP = {0: "car", 1: "person"}
# The first slice of 50 us starts at 100: frame k is labelled at 150 + 50 k.
RECORDING = RecordingSpan(SensorSize(height=240, width=304), 130, 999)
PERIOD = 50


def times(*frames):
    return [150 + PERIOD * frame for frame in frames]


def read(path, **options):
    return read_boxes(path, LABEL_MAP, recording=RECORDING, frame_period=PERIOD, **options)


def meta(size=10, start=0, step=1, kind="task", more=""):
    """What CVAT writes before the boxes."""
    return textwrap.dedent(f"""\
        <meta>
          <{kind}>
            <id>12</id>
            <name>drive</name>
            <size>{size}</size>
            <mode>interpolation</mode>
            <overlap>5</overlap>
            <bugtracker></bugtracker>
            <created>2024-05-06 09:21:48.013846+00:00</created>
            <updated>2024-05-06 09:50:11.214309+00:00</updated>
            <subset>default</subset>
            <start_frame>{start}</start_frame>
            <stop_frame>{start + (size - 1) * step}</stop_frame>
            <frame_filter>{f"step={step}" if step > 1 else ""}</frame_filter>
            <segments>
              <segment>
                <id>9</id>
                <start>0</start>
                <stop>{size - 1}</stop>
                <url>http://localhost:8080/api/jobs/9</url>
              </segment>
            </segments>
            <owner>
              <username>ann</username>
              <email>ann@example.org</email>
            </owner>
            <assignee></assignee>
            <labels>
              <label>
                <name>car</name>
                <color>#fa3253</color>
                <type>any</type>
                <attributes>
                </attributes>
              </label>
            </labels>
            {more}
          </{kind}>
          <dumped>2024-05-06 09:50:30.735103+00:00</dumped>
        </meta>
        """)


def box(frame, left, *, keyframe=1, outside=0, occluded=0, more=""):
    return (
        f'    <box frame="{frame}" keyframe="{keyframe}" outside="{outside}" '
        f'occluded="{occluded}" xtl="{left:.2f}" ytl="20.00" xbr="{left + 10:.2f}" ybr="50.50" '
        f'{more}z_order="0">\n    </box>\n'
    )


def track(boxes, track_id=0, label="car"):
    return (
        f'  <track id="{track_id}" label="{label}" source="manual">\n{"".join(boxes)}  </track>\n'
    )


def write(folder, *parts, head=None, name="drive.xml"):
    path = folder / name
    head = meta() if head is None else head
    path.write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
        + head + "".join(parts) + "</annotations>\n"
    )  # fmt: skip
    return path


def seen(labeled):
    return [(int(b["t"]), float(b["x"]), int(b["class_id"])) for b in labeled.boxes]


# --- video ---


def test_a_video_without_a_track_has_frames_without_objects(tmp_path):
    labeled = read(write(tmp_path, head=meta(size=3)))
    assert len(labeled.boxes) == 0
    assert labeled.empty_times.tolist() == times(0, 1, 2)


def test_every_box_of_an_exported_track_is_read_up_to_its_outside(tmp_path):
    path = write(
        tmp_path,
        track(
            [
                box(2, 5),
                box(3, 6, keyframe=0, occluded=1),
                box(4, 7),
                box(5, 7, outside=1),
            ]
        ),
        head=meta(size=7),
    )
    labeled = read(path)
    assert seen(labeled) == [(times(k)[0], x, 1) for k, x in ((2, 5), (3, 6), (4, 7))]
    first = labeled.boxes[0]
    assert [float(first[name]) for name in ("y", "w", "h")] == [20, 10, 30.5]
    assert labeled.empty_times.tolist() == times(0, 1, 5, 6)
    assert labeled.boxes.dtype == BOX_DTYPE


def test_between_keyframes_the_box_moves_linearly_and_stays_to_the_end_of_the_task(tmp_path):
    path = write(tmp_path, track([box(0, 0), box(4, 8)]), head=meta(size=7))
    assert [x for _, x, _ in seen(read(path))] == [0, 2, 4, 6, 8, 8, 8]


def test_an_object_that_comes_back_is_absent_between(tmp_path):
    boxes = [box(0, 0), box(2, 4, outside=1), box(4, 9), box(5, 9, outside=1)]
    path = write(tmp_path, track(boxes))
    assert seen(read(path)) == [(times(k)[0], x, 1) for k, x in ((0, 0), (1, 2), (4, 9))]


def test_a_track_that_cvat_has_interpolated_does_not_go_on_after_its_last_box(tmp_path):
    path = write(tmp_path, track([box(0, 0), box(1, 1, keyframe=0), box(2, 2)]))
    assert [t for t, _, _ in seen(read(path))] == times(0, 1, 2)


def test_a_box_on_the_last_frame_but_one_stays_one_box(tmp_path):
    """CVAT leaves the end of such a track out."""
    path = write(tmp_path, track([box(8, 0)]), head=meta(size=10))
    assert [t for t, _, _ in seen(read(path))] == times(8)


def test_track_ids_are_kept_and_none_becomes_zero(tmp_path):
    ends = [box(1, 0, outside=1)]
    from_zero = write(tmp_path, track([box(0, 0), *ends], 0), track([box(0, 5), *ends], 7))
    assert read(from_zero).boxes["track_id"].tolist() == [1, 8]
    from_three = write(tmp_path, track([box(0, 0), *ends], 3), track([box(0, 5), *ends], 7))
    assert read(from_three).boxes["track_id"].tolist() == [3, 7]


def test_frames_are_those_of_the_video_with_start_frame_and_step(tmp_path):
    path = write(tmp_path, track([box(4, 0), box(10, 6)]), head=meta(size=5, start=4, step=3))
    labeled = read(path)
    assert seen(labeled) == [
        (times(k)[0], x, 1) for k, x in ((4, 0), (7, 3), (10, 6), (13, 6), (16, 6))
    ]
    assert len(labeled.empty_times) == 0


def test_frames_that_cannot_be_the_videos_are_those_of_the_task(tmp_path):
    path = write(tmp_path, track([box(0, 0), box(2, 6, outside=1)]), head=meta(5, 4, 3))
    assert [t for t, _, _ in seen(read(path))] == times(4, 7)


def test_without_meta_a_track_goes_on_to_the_end_of_the_recording(tmp_path):
    path = write(tmp_path, track([box(0, 0)]), head="")
    assert [t for t, _, _ in seen(read(path))] == times(*range(18))  # to 999 us


def test_the_export_of_a_job_is_read(tmp_path):
    path = write(tmp_path, track([box(2, 0), box(3, 0, outside=1)]), head=meta(4, 2, kind="job"))
    labeled = read(path)
    assert [t for t, _, _ in seen(labeled)] == times(2)
    assert labeled.empty_times.tolist() == times(3, 4, 5)


def test_other_shapes_and_rotated_boxes_are_counted(tmp_path):
    polygon = '    <polygon frame="0" keyframe="1" outside="0" occluded="0" points="1.0,2.0"/>\n'
    path = write(
        tmp_path,
        track([polygon, polygon.replace('outside="0"', 'outside="1"')], 0),
        track([box(0, 0, more='rotation="30.00" '), box(1, 0, outside=1)], 1),
        track([box(0, 0), box(1, 0, outside=1)], 2),
    )
    labeled = read(path)
    assert labeled.counts == {"shapes that are not boxes (polygon)": 1, "rotated boxes": 1}
    assert len(labeled.boxes) == 1


def test_of_a_project_the_task_with_the_name_of_the_file_is_read(tmp_path):
    head = (
        "<meta><project><id>1</id><name>all</name><tasks>"
        "<task><id>4</id><name>night</name><size>3</size></task>"
        "<task><id>5</id><name>drive</name><size>2</size></task></tasks></project></meta>"
    )
    tracks = [
        track([box(0, k), box(1, k, outside=1)], k).replace("<track ", f'<track task_id="{k}" ')
        for k in (4, 5)
    ]
    labeled = read(write(tmp_path, *tracks, head=head))
    assert [x for _, x, _ in seen(labeled)] == [5]
    with pytest.raises(LabelError, match=r"2 tasks, and not one is named other.*night, drive"):
        read(write(tmp_path, *tracks, head=head, name="other.xml"))


# --- images ---


def image(name, boxes="", number=0, size=(304, 240)):
    return (
        f'  <image id="{number}" name="{name}" width="{size[0]}" height="{size[1]}">\n'
        f"{boxes}  </image>\n"
    )


IMAGE_BOX = (
    '    <box label="person" source="manual" occluded="0" xtl="1.00" ytl="2.00" xbr="4.50" '
    'ybr="8.00" z_order="0">\n    </box>\n'
)


def test_the_number_in_an_images_name_is_its_frame(tmp_path):
    path = write(
        tmp_path, image("frame_000003.png", IMAGE_BOX, 0), image("frame_000004.png", "", 1)
    )
    labeled = read(path)
    assert seen(labeled) == [(times(3)[0], 1, 2)]
    assert [float(labeled.boxes[0][name]) for name in "ywh"] == [2, 3.5, 6]
    assert labeled.boxes["track_id"].tolist() == [0]
    assert labeled.empty_times.tolist() == times(4)


def test_images_without_numbers_are_numbered_by_their_ids(tmp_path):
    path = write(tmp_path, image("left.png", IMAGE_BOX, 2), image("right.png", "", 5))
    assert seen(read(path)) == [(times(2)[0], 1, 2)]
    assert read(path).empty_times.tolist() == times(5)


def test_two_images_of_one_frame_are_refused(tmp_path):
    path = write(tmp_path, image("left.png", IMAGE_BOX, 2), image("right.png", "", 2))
    with pytest.raises(LabelError, match=r"'left.png' and 'right.png' both are frame 2"):
        read(path)


def test_shapes_of_images_are_counted(tmp_path):
    shapes = '    <mask label="car" rle="1" left="0" top="0" width="1" height="1"/>\n'
    tag = '    <tag label="car" source="manual">\n    </tag>\n'
    rotated = IMAGE_BOX.replace("z_order", 'rotation="12.5" z_order')
    labeled = read(write(tmp_path, image("a_1.png", shapes + tag + rotated)))
    assert labeled.counts == {"shapes that are not boxes (mask)": 1, "rotated boxes": 1}


# --- refused ---


def test_pictures_of_another_size_are_refused(tmp_path):
    message = r"the labelled picture is 608x480, the sensor is 304x240"
    with pytest.raises(LabelError, match=message):
        read(write(tmp_path, image("a_1.png", IMAGE_BOX, size=(608, 480))))
    more = "<original_size><width>608</width><height>480</height></original_size>"
    with pytest.raises(LabelError, match=message):
        read(write(tmp_path, track([box(0, 0)]), head=meta(more=more)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('frame="0"', 'frame="-1"', r"track 0: <box> has frame='-1', not a frame index from 0"),
        ('frame="0"', "", "has frame=None, not a frame index"),
        ('xtl="0.00"', 'xtl="nan"', "track 0, frame 0: <box> has xtl='nan', not a number"),
        ('xtl="0.00"', "", "has xtl=None, not a number"),
        ('label="car"', 'label="cra"', "'cra' is not in the label map.*Did you mean 'car'"),
        ('label="car"', "", "<track> has no label"),
        ("</annotations>", "", "not valid XML.*copied completely"),
        ("<size>10<", "<size>ten<", "<size> is 'ten', not a whole number"),
        ("<size>10<", "<size>99999999<", "frame 99,999,998 is far beyond the recording.* 18"),
        ("<frame_filter>", "<frame_filter>step=0", "not such as step=5"),
        ("<annotations>", "<!DOCTYPE a [<!ENTITY b 'c'>]><annotations>", "document type"),
        ("</track>", '<box frame="0" xtl="9" ytl="1" xbr="2" ybr="3"/></track>', "two different"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_place(tmp_path, old, new, message):
    path = write(tmp_path, track([box(0, 0)]))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(LabelError, match=message) as error:
        read(path)
    assert "drive.xml" in str(error.value)
    assert "\n" not in str(error.value)


def test_frames_need_a_period(tmp_path):
    path = write(tmp_path, track([box(0, 0)]))
    with pytest.raises(LabelError, match="frame_period"):
        read_boxes(path, LABEL_MAP, recording=RECORDING)


def test_voc_is_still_read_as_voc(tmp_path):
    path = tmp_path / "frame_000001.xml"
    path.write_text("<!-- <annotations> --><annotation><size/></annotation>")
    assert read(path).empty_times.tolist() == [999]


# --- flags ---


def test_attributes_that_say_do_not_count_are_honoured(tmp_path):
    """CVAT's exports to VOC and COCO take the attributes `difficult` and `is_crowd` for them."""

    def flagged(value, name="difficult"):
        return f'<attribute name="{name}">{value}</attribute></box>'

    boxes = [
        box(0, 1).replace("</box>", flagged("false")),
        box(1, 2).replace("</box>", flagged("true")),
        box(3, 4).replace("</box>", flagged("false")),
    ]
    labeled = read(write(tmp_path, track(boxes), head=meta(size=4)))
    assert labeled.boxes["t"].tolist() == times(0, 3)
    assert labeled.ignored["t"].tolist() == times(1, 2)
    assert labeled.counts == {"difficult objects": 2}
