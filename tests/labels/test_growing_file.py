import os
import signal

import pytest

from evdet.labels.growing_file import GrowingFile


@pytest.fixture
def opened(tmp_path):
    file = GrowingFile(tmp_path / "x", b"head0", b"tail")
    yield file
    file.close()
    file.close()


def content(file):
    return file.path.read_bytes()


def test_a_new_file_is_complete(opened, tmp_path):
    assert content(opened) == b"head0tail"
    assert list(tmp_path.iterdir()) == [opened.path]


def test_what_is_appended_comes_before_the_tail(opened):
    opened.append(b"a")
    assert content(opened) == b"head0atail"
    opened.append(b"")
    opened.append(b"bc", head=b"head3")
    assert content(opened) == b"head3abctail"


def test_an_append_that_fails_changes_nothing(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "x"
    child = os.fork()
    if not child:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))
        file = GrowingFile(path, b"head0", b"tail")
        file.append(b"abc", head=b"head1")
        try:
            file.append(b"too long for this disk", head=b"head2")
        except OSError as error:
            file.append(b"de", head=b"head3")
            os._exit(7 if error.filename == str(path) else 8)
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert path.read_bytes() == b"head3abcdetail"


def test_a_file_that_cannot_be_made_leaves_nothing(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(OSError, match=r"cannot write .*x: Is a directory"):
        GrowingFile(tmp_path / "x", b"head")
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]
