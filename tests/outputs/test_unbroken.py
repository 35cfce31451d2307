import os
import signal
import threading

import pytest

from evdet.outputs.unbroken import UnbrokenWrites


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(autouse=True)
def _handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_without_a_ctrl_c_nothing_happens():
    with UnbrokenWrites() as writes, writes.held():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_ctrl_c_between_writes_comes_at_once():
    with UnbrokenWrites(), pytest.raises(KeyboardInterrupt):
        interrupt()


def test_a_ctrl_c_waits_for_the_outermost_write():
    done = []

    def write(writes):
        with writes.held():
            with writes.held():
                interrupt()
            done.append("the whole write")

    with UnbrokenWrites() as writes, pytest.raises(KeyboardInterrupt):
        write(writes)
    assert done == ["the whole write"]


def test_a_handler_of_the_program_is_called_as_before():
    calls = []
    signal.signal(signal.SIGINT, lambda number, frame: calls.append(number))
    with UnbrokenWrites() as writes:
        interrupt()
        assert calls == [signal.SIGINT]
        with writes.held():
            interrupt()
            assert len(calls) == 1
        assert len(calls) == 2


def test_another_thread_leaves_the_signal_alone():
    seen = []

    def work():
        with UnbrokenWrites() as writes, writes.held():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
