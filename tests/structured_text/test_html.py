import base64
import html.parser

import numpy as np
from hypothesis import given, strategies as st

from evdet.draw import decode_png
from evdet.structured_text import html_beside, html_picture, html_table

VOID = {"img"}


class Tags(html.parser.HTMLParser):
    """The elements of a page and its text."""

    def __init__(self, page):
        super().__init__()
        self.seen, self.open, self.text = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_a_table_without_rows_is_a_table():
    assert Tags(html_table([])).seen == ["table"]


@given(st.text(max_size=150), st.text(max_size=150))
def test_no_text_becomes_an_element(name, value):
    tags = Tags(html_table([(name, value)], title=name))

    assert set(tags.seen) == {"table", "tr", "th", "td"} | ({"caption", "b"} if name else set())
    assert not tags.open


def test_a_text_cannot_leave_its_attribute():
    page = html_picture(np.zeros((2, 2, 3), np.uint8), '"><script>alert(1)</script>')

    assert Tags(page).seen == ["img"]


def test_a_picture_is_in_the_page_as_it_was():
    picture = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)

    page = html_picture(picture, "a picture")

    encoded = page.partition("base64,")[2].partition('"')[0]
    np.testing.assert_array_equal(decode_png(base64.b64decode(encoded)), picture)


def test_numbers_are_written_for_readers():
    text = Tags(html_table([("a", 1234567, 0.12345, float("nan"))])).text

    assert text == ["a", "1,234,567", "0.123", "–"]


def test_long_texts_are_cut():
    assert len(html_table([("a", "x" * 10_000)])) < 600


def test_empty_parts_take_no_room():
    assert html_beside("", "<b>a</b>").count("<div") == 2
