"""The page, clicked through in a browser without a window."""

import csv
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from evdet.samples import sample_recording
from served import served

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")

pytestmark = pytest.mark.slow
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
PICTURES = os.environ.get("EVDET_KEEP_PICTURES")
"""Folder for pictures of the page, to look at."""
SECOND = 1000  # milliseconds


@pytest.fixture(scope="module")
def server():
    if BROWSER is None:
        pytest.skip("needs chromium")
    with served() as server:
        yield server


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as library:
        # The tests may run as root, for whom chromium has no sandbox.
        browser = library.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


WINDOWS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
in_each_window = pytest.mark.parametrize("window", WINDOWS, ids=str)


@pytest.fixture
def window():
    return 390, "light"


@pytest.fixture
def page(window, browser, server):
    width, scheme = window
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True
    )
    page = context.new_page()
    page.set_default_timeout(240 * SECOND)
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.kind = f"{width}-{scheme}"
    page.goto(server.url)
    yield page
    context.close()


def keep_picture(page, name):
    width, room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width <= room, "the page is wider than its window"
    if PICTURES:
        page.wait_for_timeout(500)
        page.screenshot(path=Path(PICTURES) / f"{name}-{page.kind}.png", full_page=True)


@in_each_window
def test_a_recording_is_dropped_and_its_boxes_and_tracks_play(page, tmp_path):
    keep_picture(page, "start")
    assert page.locator("#start").is_disabled()
    page.set_input_files("#file", sample_recording("sample-nmnist"))
    page.click("#start")

    page.wait_for_selector("#result:not([hidden])")

    assert page.inner_text("#result-title") == "nmnist_td.dat"
    assert "253,315 events" in page.inner_text("#result-line")
    rows = page.locator("#counts tbody tr")
    assert rows.count() >= 3
    both = "['film-events', 'film-boxes'].map((id) => document.getElementById(id).currentTime)"
    for _ in range(300):  # the page's policy lets no string be evaluated in it
        events, boxes = page.evaluate(both)
        if min(events, boxes) > 0.5:
            break
        page.wait_for_timeout(100)
    assert min(events, boxes) > 0.5
    assert abs(events - boxes) < 0.5
    keep_picture(page, "result")
    page.click("#play")
    assert page.inner_text("#play") == "Play"
    page.focus("#seek")
    page.keyboard.press("End")
    for _ in range(20):
        page.keyboard.press("PageDown")  # a tenth back
        if max(page.evaluate(both)) < 5:
            break
    page.wait_for_timeout(500)
    events, boxes = page.evaluate(both)
    assert events == boxes
    assert 3 < boxes < 5
    with page.expect_download() as download:
        page.click("#downloads a[download='boxes.csv']")
    path = tmp_path / "boxes.csv"
    download.value.save_as(path)
    with path.open() as file:
        num_boxes = len(list(csv.reader(file))) - 1
    assert f"{num_boxes:,} boxes" in page.inner_text("#result-line")
    assert page.problems == []


def test_a_bundled_recording_is_cancelled_and_started_again(page):
    page.click("text=sample-nmnist")
    assert page.get_attribute("#samples button >> nth=1", "aria-pressed") == "true"
    page.click("#start")
    page.click("#cancel")
    page.wait_for_selector("#error:not([hidden])")
    assert page.inner_text("#error") == "Cancelled."

    page.click("#start")
    page.wait_for_selector("#result:not([hidden])")

    assert page.inner_text("#result-title") == "sample-nmnist"
    assert page.locator("#error").is_hidden()
    assert page.problems == []


def test_a_file_that_is_no_recording_is_one_line(page, tmp_path):
    path = tmp_path / "<b>notes.raw"
    path.write_text("not a recording at all " * 40)
    page.set_input_files("#file", path)
    page.click("#start")

    page.wait_for_selector("#error:not([hidden])")

    text = page.inner_text("#error")
    assert "<b>notes.raw" in text
    assert "\n" not in text
    assert "/tmp" not in text
    assert page.locator("#error b").count() == 0
    assert "--columns" in text
    assert page.locator("[name=columns]").is_visible()
    keep_picture(page, "error")
    assert not page.locator("#start").is_disabled()
    assert page.problems == []


def test_what_a_file_leaves_open_is_asked_for(page, tmp_path):
    path = tmp_path / "events.npy"
    np.save(path, np.array([[k, k % 30, k % 20, k % 2] for k in range(0, 40_000, 7)]))
    page.set_input_files("#file", path)
    page.click("#reading summary")
    page.fill("[name=sensor_size]", "40x30")
    page.select_option("[name=time_unit]", "us")
    page.fill("[name=columns]", "txyp")
    keep_picture(page, "options")
    page.click("#start")

    page.wait_for_selector("#result:not([hidden])")

    assert re.match(r"npy, 40x30", page.inner_text("#result-line"))
    assert page.problems == []
