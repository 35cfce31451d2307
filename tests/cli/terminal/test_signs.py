"""Whatever the encoding of the output, a command prints, and what it prints can be read."""

import io
import os
import subprocess
import sys

import pytest
from hypothesis import given, strategies as st

from evdet.cli import COMMANDS, main
from evdet.cli.terminal import allow_any_encoding

ENCODINGS = ("ascii", "cp1252", "latin-1", "cp437", "utf-8")
EVENTS = "0 1 2 1\n500 3 2 0\n1000 1 1 1\n"


@pytest.fixture
def streams(monkeypatch):
    """Make standard output and standard error write to memory, in an encoding."""

    def set_up(encoding, errors="strict"):
        streams = [io.TextIOWrapper(io.BytesIO(), encoding, errors) for _ in range(2)]
        monkeypatch.setattr(sys, "stdout", streams[0])
        monkeypatch.setattr(sys, "stderr", streams[1])
        return streams

    return set_up


def written(stream):
    stream.flush()
    return stream.buffer.getvalue().decode(stream.encoding)


def test_nothing_to_print_is_nothing(streams):
    out, _ = streams("ascii")
    allow_any_encoding()
    print(end="")
    assert written(out) == ""


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("3 × 4 µs – 5…", "3 x 4 us - 5..."),
        ("╭─ Error ─╮│", "+- Error -+|"),
        ("▁▄█", ".=#"),
        ("Straße", "Stra\\xdfe"),
        ("車", "\\u8eca"),
        ("caf\udce9", "caf\\xe9"),
        ("\N{BICYCLE}", "\\U0001f6b2"),
    ],
)
def test_signs_that_ascii_lacks_have_readable_substitutes(streams, text, plain):
    out, err = streams("ascii")
    allow_any_encoding()
    print(text)
    print(text, file=sys.stderr)
    assert written(out) == written(err) == plain + "\n"


def test_signs_that_an_encoding_has_stay(streams):
    out, _ = streams("cp1252")
    allow_any_encoding()
    print("Straße × 3 µs – █")
    assert written(out) == "Straße × 3 µs – #\n"


def test_what_the_user_chose_for_errors_stays(streams):
    out, _ = streams("ascii", "ignore")
    allow_any_encoding()
    print("Straße")
    assert written(out) == "Strae\n"


def test_names_that_are_no_text_stay_bytes_where_the_stream_writes_them_so(streams):
    out, _ = streams("utf-8", "surrogateescape")
    allow_any_encoding()
    print("caf\udce9")
    out.flush()
    assert out.buffer.getvalue() == b"caf\xe9\n"


@given(text=st.text(), encoding=st.sampled_from(ENCODINGS))
def test_every_text_can_be_printed(text, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding, newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        allow_any_encoding()
        print(text, end="")
        assert text.isascii() is False or written(stream) == text


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_can_be_printed(streams, command):
    out, _ = streams("ascii")
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert not end.value.code
    assert "usage" in written(out)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_info_prints_its_picture_and_any_name(streams, tmp_path, encoding):
    path = tmp_path / "Straße 車 ×.txt"
    path.write_text(EVENTS)
    out, err = streams(encoding)
    assert main(["info", str(path)]) == 0
    text = written(out)
    assert "rate over time" in text
    assert "Stra" in text
    assert ("#" in text) == (encoding in ("ascii", "cp1252", "latin-1"))
    assert "Traceback" not in written(err)


def test_an_error_about_a_file_with_such_a_name_is_still_an_error(streams, tmp_path):
    path = tmp_path / "車.dat"
    path.write_bytes(b"nothing of events")
    _, err = streams("ascii")
    assert main(["info", str(path)]) == 2
    assert "\\u8eca.dat" in written(err)


def test_a_process_without_a_locale_prints(tmp_path):
    path = tmp_path / "Straße.txt"
    path.write_text(EVENTS)
    env = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    env.pop("PYTHONIOENCODING", None)
    script = "from evdet.cli import main; import sys; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "info", str(path)]
    done = subprocess.run(command, capture_output=True, env=env, timeout=100)
    assert done.returncode == 0, done.stderr
    assert b"rate over time" in done.stdout


def test_an_error_about_a_name_that_is_no_text_says_so(streams, monkeypatch):
    def run(*_):
        "caf\udce9".encode()

    monkeypatch.setattr("evdet.cli._run", run)
    _, err = streams("ascii")
    assert main(["info", "x"]) == 2
    assert "rename the file or folder" in written(err)
