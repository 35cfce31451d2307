"""Uploads and detections of the page: few at a time, found by secret ids, removed after a while."""

import contextlib
import queue
import secrets
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from evdet.cli.detect.serve.detection import Progress, Result
from evdet.cli.detect.serve.requests import DetectionRequest, RequestError, suffix_of
from evdet.cli.detect.serve.worker import Task, Worker, WorkerError
from evdet.samples import sample_recording

__all__ = ["BusyServerError", "Job", "Jobs", "Limits", "Upload"]

_MOST_CLIENTS = 32
_MOST_FULL_UPLOADS = 8  # the room of all uploads, in uploads of the largest size
_SWEEP = 1.0  # seconds
CANCELLED = "cancelled"


class BusyServerError(RuntimeError):
    """There is no room for another upload or detection now; one line."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much the page does and keeps."""

    max_bytes: int
    """Of an upload."""
    max_seconds: float
    """Of a detection."""
    keep_seconds: float
    """After which an upload or a result that was not asked for is removed."""
    max_waiting: int = 8
    """Detections that wait for their turn."""


@dataclass(eq=False)
class Upload:
    """A recording of a client."""

    id: str
    client: str
    name: str
    """As the browser called it; for display."""
    folder: Path
    touched: float
    room: int
    """Bytes that it may have."""
    num_bytes: int = 0
    """Bytes that it has; 0 until all arrived."""

    @property
    def path(self) -> Path:
        """Where it is: of its name, only the ending is used."""
        return self.folder / f"recording{suffix_of(self.name)}"


@dataclass(eq=False)
class Job:
    """A detection of a client."""

    id: str
    client: str
    request: DetectionRequest
    name: str
    """Of the source; for display."""
    path: Path
    folder: Path
    touched: float
    state: str = "waiting"
    """waiting, running, done, failed or cancelled."""
    progress: Progress | None = None
    result: Result | None = None
    error: str = ""
    is_cancelled: bool = False
    hidden: dict[str, str] = field(default_factory=dict)
    """Paths of this machine in messages, and what stands for them."""

    @property
    def is_over(self) -> bool:
        """Whether it has a result or an error."""
        return self.state not in ("waiting", "running")


class Jobs:
    """Keeps uploads and detections; one detection runs at a time, in the process of a worker.

    Args:
        folder: for all files; the caller removes it.
        worker: detects.
        limits: how much is done and kept.
    """

    def __init__(self, folder: Path, worker: Worker, limits: Limits) -> None:
        self.limits = limits
        self._folder = folder
        self._worker = worker
        self._uploads: dict[str, Upload] = {}
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._waiting: queue.Queue[Job] = queue.Queue()
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run_all, daemon=True)
        self._thread.start()

    def new_upload(self, client: str, name: str, room: int) -> Upload:
        """Make room for a recording; earlier ones of this client that are not in work are removed.

        Args:
            client: who sends it.
            name: as the browser calls it.
            room: bytes that it may have.

        Raises:
            BusyServerError: others take the room.
        """
        with self._lock:
            in_work = {job.request.source for job in self._jobs.values() if not job.is_over}
            for upload in list(self._uploads.values()):
                if upload.client == client and upload.id not in in_work:
                    self._remove_upload(upload)
            taken = sum(upload.room for upload in self._uploads.values())
            is_full = taken + room > _MOST_FULL_UPLOADS * self.limits.max_bytes
            if is_full or len(self._uploads) >= _MOST_CLIENTS:
                raise BusyServerError("many recordings are here already: try again in some minutes")
            upload = Upload(
                id=_new_id(),
                client=client,
                name=name,
                folder=self._folder / _new_id(),
                touched=time.monotonic(),
                room=room,
            )
            upload.folder.mkdir(mode=0o700)
            self._uploads[upload.id] = upload
        return upload

    def drop_upload(self, upload: Upload) -> None:
        """Remove a recording that did not arrive."""
        with self._lock:
            self._remove_upload(upload)

    def start(self, client: str, request: DetectionRequest) -> Job:
        """Queue a detection; results of earlier ones of this client are removed.

        Raises:
            RequestError: there is no such source.
            BusyServerError: a detection of this client is running, or too many wait.
        """
        with self._lock:
            mine = [job for job in self._jobs.values() if job.client == client]
            if not all(job.is_over for job in mine):
                raise BusyServerError("a detection of yours is running: wait for it, or cancel it")
            num_waiting = sum(not job.is_over for job in self._jobs.values())
            if num_waiting > self.limits.max_waiting or len(self._jobs) >= 2 * _MOST_CLIENTS:
                raise BusyServerError("many detections wait already: try again in some minutes")
            name, path = self._source(client, request)
            for job in mine:
                self._remove_job(job)
            job = Job(
                id=_new_id(),
                client=client,
                request=request,
                name=name,
                path=path,
                folder=self._folder / _new_id(),
                touched=time.monotonic(),
            )
            folders = (path.parent, job.folder, self._folder)
            job.hidden = {str(path): name, **{f"{folder}/": "" for folder in folders}}
            job.folder.mkdir(mode=0o700)
            self._jobs[job.id] = job
        self._waiting.put(job)
        return job

    def find(self, job_id: str) -> Job | None:
        """The detection with an id; None where there is none, or no longer."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is not None:
                job.touched = time.monotonic()
                upload = self._uploads.get(job.request.source)
                if upload is not None:
                    upload.touched = job.touched
            return job

    def num_before(self, job: Job) -> int:
        """Detections that are done before this one."""
        with self._lock:
            others = list(self._jobs.values())
            earlier = others[: others.index(job)] if job in others else []
            return sum(not one.is_over for one in earlier)

    def cancel(self, job: Job) -> None:
        """End a detection, or take it out of the queue."""
        with self._lock:
            job.is_cancelled = True
            if job.state == "waiting":
                job.state = CANCELLED

    def close(self) -> None:
        """End what runs; the files are the caller's to remove."""
        self._is_closed.set()
        self._thread.join()
        self._worker.close()

    def _source(self, client: str, request: DetectionRequest) -> tuple[str, Path]:
        if request.is_sample:
            return request.source, sample_recording(request.source)
        upload = self._uploads.get(request.source)
        if upload is None or upload.client != client or not upload.num_bytes:
            raise RequestError("the recording is not here (any more): choose it again")
        return upload.name, upload.path

    def _run_all(self) -> None:
        while not self._is_closed.is_set():
            with contextlib.suppress(queue.Empty):
                self._run(self._waiting.get(timeout=_SWEEP))
            self._sweep()

    def _run(self, job: Job) -> None:
        with self._lock:
            if job.state != "waiting":
                return
            job.state = "running"
        began = time.monotonic()

        def problem() -> str | None:
            if self._is_closed.is_set() or job.is_cancelled:
                return CANCELLED
            if time.monotonic() - began > self.limits.max_seconds:
                return (
                    f"stopped after {self.limits.max_seconds:g} s, the limit of this server "
                    "(--max-seconds): choose a shorter recording, or use `evdet detect`"
                )
            return None

        def report(progress: Progress) -> None:
            job.progress = progress
            job.touched = time.monotonic()

        task = Task(request=job.request, path=job.path, folder=job.folder)
        try:
            job.result = self._worker.run(task, report=report, problem=problem)
            job.state = "done"
        except WorkerError as error:
            job.error = str(error)
            job.state = CANCELLED if job.error == CANCELLED else "failed"
        job.touched = time.monotonic()

    def _sweep(self) -> None:
        """Remove what was not asked for since some time."""
        oldest = time.monotonic() - self.limits.keep_seconds
        with self._lock:
            for job in list(self._jobs.values()):
                if job.is_over and job.touched < oldest:
                    self._remove_job(job)
            in_work = {job.request.source for job in self._jobs.values() if not job.is_over}
            for upload in list(self._uploads.values()):
                if upload.touched < oldest and upload.id not in in_work:
                    self._remove_upload(upload)

    def _remove_job(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    def _remove_upload(self, upload: Upload) -> None:
        self._uploads.pop(upload.id, None)
        shutil.rmtree(upload.folder, ignore_errors=True)


def _new_id() -> str:
    return secrets.token_urlsafe(24)
