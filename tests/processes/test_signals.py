"""Signals become exceptions once, and what was ignored stays ignored."""

import os
import signal
import threading
import time

import pytest

from evdet.processes import (
    ENDING_SIGNALS,
    EndedError,
    children_without_signals,
    ending_signals_raise,
    exit_status,
)


@pytest.fixture(autouse=True)
def usual_handlers():
    usual = {signal.SIGINT: signal.default_int_handler}
    before = {
        number: signal.signal(number, usual.get(number, signal.SIG_DFL))
        for number in ENDING_SIGNALS
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number):
    os.kill(os.getpid(), number)
    time.sleep(0.01)


@pytest.mark.parametrize("number", ENDING_SIGNALS)
def test_a_signal_is_raised_and_has_the_status_of_a_shell(number):
    before = signal.getsignal(number)
    with pytest.raises((KeyboardInterrupt, EndedError)) as raised, ending_signals_raise():
        send(number)
    assert exit_status(raised.value) == 128 + number
    assert signal.getsignal(number) is before


def test_no_exception_handler_takes_a_signal_for_an_error():
    assert not issubclass(EndedError, Exception)


def test_a_second_signal_does_not_disturb_the_end():
    def end_twice():
        try:
            send(signal.SIGTERM)
        finally:
            send(signal.SIGTERM)
            send(signal.SIGINT)
            ended.append(True)

    ended = []
    with pytest.raises(EndedError), ending_signals_raise():
        end_twice()
    assert ended


def test_an_ignored_signal_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with ending_signals_raise():
        send(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_program_keeps_its_own_handlers():
    seen = []
    signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    with ending_signals_raise():
        send(signal.SIGTERM)
    assert seen == [signal.SIGTERM]


def test_another_thread_leaves_the_handlers_alone():
    found = []

    def look():
        with ending_signals_raise():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL]


def test_children_start_without_hearing_signals():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with children_without_signals():
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) >= set(ENDING_SIGNALS)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
