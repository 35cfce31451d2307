"""The page and its requests, as an ASGI application."""

import asyncio
import dataclasses
import importlib.resources
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from evdet.cli.detect.serve.detection import RESULT_FILES
from evdet.cli.detect.serve.guard import Guard
from evdet.cli.detect.serve.jobs import BusyServerError, Job, Jobs, Upload
from evdet.cli.detect.serve.requests import RequestError, parse_request
from evdet.events import FORMAT_NAMES, TIME_UNITS
from evdet.samples import SAMPLES
from evdet.structured_text import parse_json

__all__ = ["make_app"]

_PAGE_FILES = {"/": "index.html", "/page.js": "page.js", "/style.css": "style.css"}
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_COOKIE = "evdet"
_COOKIE_VALUE = re.compile(r"[A-Za-z0-9_-]{32}", re.ASCII)
_MOST_JSON = 1 << 14  # bytes
_MOST_NAME = 200
_LONGEST_PAUSE = 60.0  # seconds without a byte of an upload
_LONGEST_UPLOAD = 3600.0  # seconds


def make_app(
    jobs: Jobs, detectors: Sequence[dict[str, Any]], *, can_track: bool, names: Iterable[str] = ()
) -> Starlette:
    """Make the application.

    Args:
        jobs: keeps uploads and detections.
        detectors: what the page says of each detector: its name, input, time bin and classes.
        can_track: whether the library of the trackers is installed.
        names: host names of this machine, besides localhost.
    """
    handlers = _Handlers(jobs, detectors, can_track)
    pages = [Route(path, _page(name), methods=["GET"]) for path, name in _PAGE_FILES.items()]
    app = Starlette(
        routes=[
            *pages,
            Route("/api/choices", handlers.choices, methods=["GET"]),
            Route("/api/recordings", handlers.upload, methods=["POST"]),
            Route("/api/jobs", handlers.start, methods=["POST"]),
            Route("/api/jobs/{job}", handlers.show, methods=["GET"]),
            Route("/api/jobs/{job}", handlers.cancel, methods=["DELETE"]),
            Route("/api/jobs/{job}/{file}", handlers.send, methods=["GET"]),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=Guard(names))],
    )
    app.router.redirect_slashes = False
    return app


def _page(name: str) -> Any:
    content = (importlib.resources.files("evdet.cli.detect.serve") / "page" / name).read_bytes()
    kind = f"{_TYPES[Path(name).suffix]}; charset=utf-8"

    async def answer(request: Request) -> Response:
        response = Response(content, media_type=kind)
        if name == "index.html" and _client_of(request) is None:
            value = secrets.token_urlsafe(24)
            response.set_cookie(_COOKIE, value, httponly=True, samesite="strict", path="/")
        return response

    return answer


class _Handlers:
    """The answers to the page's requests."""

    def __init__(self, jobs: Jobs, detectors: Sequence[dict[str, Any]], can_track: bool) -> None:
        self._jobs = jobs
        self._detectors = detectors
        self._can_track = can_track

    async def choices(self, request: Request) -> Response:
        """What there is to choose from."""
        return JSONResponse(
            {
                "detectors": list(self._detectors),
                "samples": SAMPLES,
                "can_track": self._can_track,
                "formats": sorted(FORMAT_NAMES),
                "time_units": list(TIME_UNITS),
                "max_bytes": self._jobs.limits.max_bytes,
                "max_seconds": self._jobs.limits.max_seconds,
                "keep_minutes": self._jobs.limits.keep_seconds / 60,
            }
        )

    async def upload(self, request: Request) -> Response:
        """Take a recording, as the body of the request."""
        client = _client_of(request)
        if client is None:
            return _refusal("the page's cookie is missing: load the page again", 403)
        name = request.query_params.get("name", "")[-_MOST_NAME:]
        too_large = self._too_large(request)
        if too_large is not None:
            return too_large
        try:
            stated = int(request.headers.get("content-length", self._jobs.limits.max_bytes))
            upload = self._jobs.new_upload(client, _last_part(name), stated)
        except BusyServerError as error:
            return _refusal(str(error), 503)
        problem = await self._receive(request, upload)
        if problem is not None:
            self._jobs.drop_upload(upload)
            return problem
        return JSONResponse({"id": upload.id, "name": upload.name, "bytes": upload.num_bytes})

    async def start(self, request: Request) -> Response:
        """Start a detection."""
        client = _client_of(request)
        if client is None:
            return _refusal("the page's cookie is missing: load the page again", 403)
        try:
            asked = parse_request(
                await _read_json(request),
                num_detectors=len(self._detectors),
                can_track=self._can_track,
            )
            job = self._jobs.start(client, asked)
        except RequestError as error:
            return _refusal(str(error), 400)
        except BusyServerError as error:
            return _refusal(str(error), 409)
        return JSONResponse({"id": job.id}, status_code=202)

    async def show(self, request: Request) -> Response:
        """How far a detection is, and its result."""
        job = self._find(request)
        return _gone() if job is None else JSONResponse(self._describe(job))

    async def cancel(self, request: Request) -> Response:
        """End a detection."""
        job = self._find(request)
        if job is None:
            return _gone()
        self._jobs.cancel(job)
        return JSONResponse(self._describe(job))

    async def send(self, request: Request) -> Response:
        """Send a file of a result: one of a fixed list."""
        job, name = self._find(request), request.path_params["file"]
        if job is None or job.result is None or name not in RESULT_FILES:
            return _gone()
        if name not in job.result.files or not (job.folder / name).is_file():
            return _gone()
        is_shown = name.endswith(".mp4") and "download" not in request.query_params
        return FileResponse(
            job.folder / name,
            media_type=RESULT_FILES[name],
            filename=name,
            content_disposition_type="inline" if is_shown else "attachment",
        )

    def _find(self, request: Request) -> Job | None:
        """A detection of this client."""
        job = self._jobs.find(request.path_params["job"])
        client = _client_of(request)
        return job if job is not None and client == job.client else None

    def _describe(self, job: Job) -> dict[str, Any]:
        result = None if job.result is None else dataclasses.asdict(job.result)
        if result is not None:
            result["notes"] = [_for_page(note, job) for note in result["notes"]]
        progress = job.progress
        return {
            "state": job.state,
            "name": job.name,
            "before": self._jobs.num_before(job),
            "progress": None if progress is None else dataclasses.asdict(progress),
            "result": result,
            "error": _for_page(job.error, job),
        }

    def _too_large(self, request: Request, num_bytes: int = 0) -> Response | None:
        limit, stated = self._jobs.limits.max_bytes, request.headers.get("content-length", "0")
        if not stated.isascii() or not stated.isdigit() or max(int(stated), num_bytes) > limit:
            return _refusal(
                f"the file is larger than {limit / 1e6:g} MB, the limit of this server "
                "(--max-upload): use `evdet detect`",
                413,
            )
        return None

    async def _receive(self, request: Request, upload: Upload) -> Response | None:
        """Write an upload to its file; the response is why it was not."""
        num_bytes = 0
        try:
            with upload.path.open("xb") as file:
                async for chunk in _chunks(request):
                    num_bytes += len(chunk)
                    too_large = self._too_large(request, num_bytes)
                    if too_large is not None:
                        return too_large
                    await asyncio.to_thread(file.write, chunk)
        except (ClientDisconnect, TimeoutError):
            return _refusal("the upload stopped", 408)
        except OSError as error:
            return _refusal(f"the file cannot be kept: {error.strerror}", 507)
        if not num_bytes:
            return _refusal(f"{upload.name} is empty", 400)
        upload.num_bytes = num_bytes
        return None


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """The body of a request, as long as it comes steadily, and for an hour."""
    stream, until = request.stream(), time.monotonic() + _LONGEST_UPLOAD
    with suppress(StopAsyncIteration):
        while True:
            async with asyncio.timeout(min(_LONGEST_PAUSE, until - time.monotonic())):
                chunk = await anext(stream)
            yield chunk


async def _read_json(request: Request) -> Any:
    """The JSON of a small request.

    Raises:
        RequestError: it is too long, or not JSON.
    """
    body = b""
    async for chunk in _chunks(request):
        body += chunk
        if len(body) > _MOST_JSON:
            raise RequestError("the request is too long")
    try:
        return parse_json(body.decode())
    except ValueError:
        raise RequestError("the request is not JSON") from None


def _client_of(request: Request) -> str | None:
    value = request.cookies.get(_COOKIE, "")
    return value if _COOKIE_VALUE.fullmatch(value) else None


def _last_part(name: str) -> str:
    """A file's name for display."""
    return name.replace("\\", "/").rpartition("/")[2] or "recording"


def _for_page(message: str, job: Job) -> str:
    """A message without paths of this machine."""
    for path, shown in job.hidden.items():
        message = message.replace(path, shown)
    return message


def _refusal(message: str, status: int) -> Response:
    return JSONResponse({"error": message}, status_code=status)


def _gone() -> Response:
    return _refusal("there is no such detection (any more)", 404)
