"""The pictures of the pages can be made anew."""

import runpy
from pathlib import Path

import pytest
from PIL import Image

IMAGES = Path(__file__).parents[1] / "docs" / "images"


def test_the_moving_picture_is_small_and_loops():
    picture = IMAGES / "detect.webp"
    assert picture.stat().st_size < 2_000_000
    with Image.open(picture) as image:
        image.load()
        assert image.info["loop"] == 0
        assert image.n_frames * image.info["duration"] in range(5000, 8001)


@pytest.mark.slow
def test_the_moving_picture_is_made_by_its_script(tmp_path, monkeypatch, capsys):
    script = tmp_path / "make_pictures.py"
    script.write_text((IMAGES / "make_pictures.py").read_text())
    monkeypatch.setattr("sys.argv", [script.name])
    runpy.run_path(str(script), run_name="__main__")
    assert "104 frames" in capsys.readouterr().out
    with Image.open(tmp_path / "detect.webp") as made, Image.open(IMAGES / "detect.webp") as shown:
        assert (made.size, made.n_frames) == (shown.size, shown.n_frames)
