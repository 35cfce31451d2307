"""A live source whose bytes arrive at the times of a clock that the test moves."""

import os
import threading

from evdet.events.live.byte_sources import Pipe

__all__ = ["ControlledClock", "TimedPipe"]


class ControlledClock:
    """A clock that stands until it is moved; call it for the time in seconds."""

    def __init__(self):
        self.now = 1000.0
        self.num_reads = 0
        """How often the main thread has read it."""
        self._has_read = threading.Condition()

    def __call__(self):
        if threading.current_thread() is threading.main_thread():
            with self._has_read:
                self.num_reads += 1
                self._has_read.notify_all()
        return self.now

    def wait_for_reads(self, num):
        """Wait until the main thread has read it more than `num` times."""
        with self._has_read:
            assert self._has_read.wait_for(lambda: self.num_reads > num, timeout=20)


class TimedPipe:
    """A pipe into which a test writes records of DAT at times of a clock; a `ByteSource`.

    `advance` moves the clock from piece to piece, and waits until the reader has taken each.
    """

    def __init__(self, clock, header, pieces):
        self.clock = clock
        self._left = [(clock.now + at, piece) for at, piece in pieces]
        reading, self._writing = os.pipe()
        self._pipe = Pipe(os.fdopen(reading, "rb", buffering=0), "pipe", closes=True)
        self.latest = 0
        """Time of the latest event that was sent, in microseconds."""
        self._num_taken = 0
        self._num_written = 1
        self._has_taken = threading.Condition()
        os.write(self._writing, header)

    @property
    def has_ended(self):
        return not self._left

    def read(self):
        with self._has_taken:
            # Whoever reads again has taken what came before.
            self._num_taken += 1
            self._has_taken.notify_all()
        return self._pipe.read()

    def advance(self, seconds):
        """Move the clock; what arrives until then is read at its own time."""
        end = self.clock.now + seconds
        while self._left and self._left[0][0] <= end:
            self.next()
        self.clock.now = end

    def next(self):
        """Move the clock to the next piece, and wait until it is read."""
        at, piece = self._left.pop(0)
        self._wait()
        self.clock.now = max(self.clock.now, at)
        with self._has_taken:
            self._num_written += 1
        if piece:
            self.latest = int.from_bytes(piece[-8:-4], "little")
            os.write(self._writing, piece)
            self._wait()
        else:
            os.close(self._writing)

    def _wait(self):
        with self._has_taken:
            # The first call of `read` takes nothing.
            assert self._has_taken.wait_for(lambda: self._num_taken > self._num_written, timeout=20)

    def stop(self):
        self._pipe.stop()

    def close(self):
        self._pipe.close()
