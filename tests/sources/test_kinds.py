from pathlib import Path

import pytest

from evdet.sources import is_pictures, is_video


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("drive.dat", (False, False)),
        ("without_an_ending", (False, False)),
        ("clip.mp4", (True, True)),
        ("CLIP.GIF", (True, True)),
        ("frame.PNG", (True, False)),
    ],
)
def test_a_file_is_judged_by_its_name(name, kind):
    assert (is_pictures(Path(name)), is_video(Path(name))) == kind


@pytest.mark.parametrize("name", ["frames", "frames.dat", "frames.mp4"])
def test_a_folder_holds_images_whatever_it_is_called(tmp_path, name):
    (tmp_path / name).mkdir()
    assert is_pictures(tmp_path / name)
    assert not is_video(tmp_path / name)
