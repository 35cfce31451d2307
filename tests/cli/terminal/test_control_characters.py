"""No name that came from elsewhere commands the terminal."""

import contextlib
import io
import json
import sys

import numpy as np
import pytest
from hypothesis import given, strategies as st
from tqdm import tqdm

from evdet import BOX_DTYPE
from evdet.cli import main
from evdet.cli.terminal import escape_controls, escaped_output, unescaped_output


def printed(write):
    """What arrives on standard output."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream), escaped_output():
        write()
    return stream.getvalue()


def test_an_empty_text_stays_empty():
    assert escape_controls("") == ""


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("bell\x07", "bell\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("a\rb", "a\\x0db"),
        ("evil\u202egpj.exe", "evil\\u202egpj.exe"),
        ("one\u2028two", "one\\u2028two"),
        ("\x00\x7f", "\\x00\\x7f"),
    ],
)
def test_what_commands_a_terminal_becomes_visible(text, escaped):
    assert escape_controls(text) == escaped


@given(st.text())
def test_what_is_no_control_character_is_kept(text):
    kept = "".join(sign for sign in text if sign.isprintable() or sign in "\n\t")
    assert escape_controls(kept) == kept
    assert escape_controls(escape_controls(text)) == escape_controls(text)


def test_a_progress_bar_still_moves():
    stream = io.StringIO()
    with contextlib.redirect_stderr(stream), escaped_output():
        for _ in tqdm(range(3), desc="outer\x1b[2J", file=sys.stderr, mininterval=0):
            for _ in tqdm(range(2), desc="inner", position=1, file=sys.stderr, mininterval=0):
                pass
    assert "\router\\x1b[2J: 100%" in stream.getvalue()
    assert "\x1b[A" in stream.getvalue()
    assert "\x1b[2J" not in stream.getvalue()


def test_a_line_that_moves_the_cursor_and_says_more_is_escaped():
    assert printed(lambda: print("\x1b[Aforged")) == "\\x1b[Aforged\n"


def test_a_library_may_colour_its_own_words():
    def write():
        with unescaped_output():
            print("\x1b[1mbold\x1b[0m")
        print("\x1b[1mname")

    assert printed(write) == "\x1b[1mbold\x1b[0m\n\\x1b[1mname\n"


def test_lines_and_bytes_pass_through():
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    with contextlib.redirect_stdout(out), escaped_output():
        sys.stdout.writelines(["a\n", "\x1bb\n"])
        sys.stdout.flush()
        sys.stdout.buffer.write(b"\x1braw")
    assert out.buffer.getvalue() == b"a\n\\x1bb\n\x1braw"


@pytest.fixture
def evil(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "a\x1b]0;title\x07\x1b[31m"
    (tmp_path / f"{name}.dat").write_bytes(b"nothing")
    (tmp_path / "names.json").write_text(json.dumps({"0": name}))
    boxes = np.zeros(3, BOX_DTYPE)
    boxes["t"], boxes["w"], boxes["h"] = np.arange(1, 4) * 100_000, 8, 8
    for file in ("found.npy", "truth.npy"):
        np.save(tmp_path / file, boxes)
    return name


@pytest.mark.parametrize(
    "words",
    [
        ["info", "{name}.dat"],
        ["view", "{name}.dat", "--output", "x.mp4"],
        ["check", "{name}"],
        ["convert", "{name}.dat", "x.raw"],
        ["train", "--dataset-path", "{name}"],
        ["{name}"],
        ["score", "--detections", "found.npy", "--boxes", "truth.npy", "--label-map", "names.json"],
        ["score", "--detections", "{name}", "--boxes", "truth.npy"],
    ],
)
def test_no_command_prints_the_control_characters_of_a_name(evil, capfd, words):
    main([word.format(name=evil) for word in words])
    said = "".join(capfd.readouterr())
    assert "a\\x1b]0;title\\x07\\x1b[31m" in said
    assert not {sign for sign in said if not sign.isprintable() and sign != "\n"}
