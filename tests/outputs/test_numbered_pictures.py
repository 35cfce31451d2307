from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from evdet.outputs import check_picture_folder, number_of_picture, picture_name


@given(st.integers(0, 10**9))
def test_the_number_of_a_picture_is_read_back(frame):
    assert number_of_picture(Path("frames") / picture_name(frame)) == frame


@pytest.mark.parametrize("name", ["frame_1.png", "frame_000001.jpg", "a_frame_000001.png", "x"])
def test_other_files_are_no_pictures(name):
    assert number_of_picture(Path(name)) is None


def test_an_empty_folder_and_foreign_files_are_no_hindrance(tmp_path):
    (tmp_path / "notes.txt").touch()
    check_picture_folder(tmp_path, range(3), overwrite=False)
    check_picture_folder(tmp_path / "new", range(3), overwrite=False)
