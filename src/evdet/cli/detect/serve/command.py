"""`evdet serve`: a page on this machine that shows what a detector finds in recordings."""

import contextlib
import ipaddress
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from evdet.atomic_file import temporary_folder
from evdet.cli.detect.serve.jobs import Jobs, Limits
from evdet.cli.detect.serve.worker import DetectorChoice, Worker
from evdet.cli.options import ThreadCount, check_above, check_threads, default
from evdet.detectors import open_detector
from evdet.frame_spec import PICTURES
from evdet.pipeline import frame_spec_of
from evdet.tracking import Tracker, TrackingUnavailableError

__all__ = ["ServeOptions", "WebUnavailableError", "serve"]

_MOST_CONNECTIONS = 64
_TO_END = 2  # seconds for answers that are being sent
_PORTS = 1 << 16


class WebUnavailableError(RuntimeError):
    """A library of the extra `web` is missing; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Serve a page that detects in recordings which are dropped on it."""

    checkpoint: Annotated[
        tuple[Path, ...], default("events-digits", "FILE ...")
    ] = (Path("events-digits"),)  # fmt: skip
    """Detectors to choose from: checkpoints (*.ckpt), run folders, exported models (*.onnx), or
    events-digits (bundled)."""
    host: str = "127.0.0.1"
    """Address to listen on; any other than 127.0.0.1 lets other machines in, without a password."""
    port: int = 8000
    """Port to listen on; 0 takes a free one."""
    allow_host: Annotated[tuple[str, ...], default("none", "NAME ...")] = ()
    """Names of this machine in URLs, besides localhost, such as lab-server.local."""
    max_upload: Annotated[float, tyro.conf.arg(metavar="MB")] = 500.0
    """Largest recording that is taken, in megabytes."""
    max_seconds: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 600.0
    """Longest detection, in seconds of the clock."""
    keep: Annotated[float, tyro.conf.arg(metavar="MINUTES")] = 30.0
    """Minutes after which recordings and results that were not asked for are removed."""
    device: str = "auto"
    """Device: cpu, cuda, cuda:1, ... or auto."""
    threads: ThreadCount = 0
    """Threads of the CPU."""


def serve(options: ServeOptions) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        ValueError: an option is out of range, or the address cannot be listened on.
        CheckpointError, ExportError: a detector cannot be opened.
        WebUnavailableError: a library is missing.
    """
    check_above(0, options, "max_upload", "max_seconds", "keep")
    check_threads(options.threads)
    if not 0 <= options.port < _PORTS:
        raise ValueError(f"--port must be from 0 to {_PORTS - 1}, got {options.port}")
    if not options.checkpoint:
        raise ValueError("give --checkpoint at least one detector")
    uvicorn, make_app = _libraries()
    with _listening(options.host, options.port) as listener:
        names = _names_of(options.checkpoint)
        detectors = [
            _describe(path, name, options)
            for path, name in zip(options.checkpoint, names, strict=True)
        ]
        choices = tuple(
            DetectorChoice(
                path=path,
                device="cpu" if path.suffix.lower() == ".onnx" else options.device,
                num_threads=options.threads,
            )
            for path in options.checkpoint
        )
        limits = Limits(
            max_bytes=round(options.max_upload * 1e6),
            max_seconds=options.max_seconds,
            keep_seconds=options.keep * 60,
        )
        with temporary_folder() as folder, _jobs(folder, choices, limits) as jobs:
            hosts = [*options.allow_host, socket.gethostname()]
            app = make_app(jobs, detectors, can_track=_can_track(), names=hosts)
            config = uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                server_header=False,
                lifespan="off",
                proxy_headers=False,
                ws="none",
                loop="asyncio",
                http="h11",
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_keep_alive=10,
                timeout_graceful_shutdown=_TO_END,
            )
            _print_address(listener, options.host)
            # Ctrl-C is how a server is ended.
            with contextlib.suppress(KeyboardInterrupt):
                uvicorn.Server(config).run(sockets=[listener])
    print("ended; recordings and results are removed")


def _libraries() -> tuple[Any, Any]:
    try:
        import uvicorn

        from evdet.cli.detect.serve.app import make_app
    except ImportError as error:
        raise WebUnavailableError(f"no page ({error}): pip install 'evdet[web]'") from error
    return uvicorn, make_app


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens; before any long work, since the port may be taken."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ValueError(
            f"cannot listen on {host}:{port}: {reason} (--port 0 takes a free port; --host "
            "127.0.0.1 is this machine)"
        ) from error
    with listener:
        yield listener


@contextlib.contextmanager
def _jobs(folder: Path, choices: tuple[DetectorChoice, ...], limits: Limits) -> Iterator[Jobs]:
    jobs = Jobs(folder, Worker(choices), limits)
    try:
        yield jobs
    finally:
        jobs.close()


def _names_of(paths: Sequence[Path]) -> list[str]:
    """The files' names; with the folders above them where two have the same."""
    names = [path.name or str(path) for path in paths]
    return [
        "/".join(path.parts[-3:]) if names.count(name) > 1 else name
        for path, name in zip(paths, names, strict=True)
    ]


def _describe(path: Path, name: str, options: ServeOptions) -> dict[str, Any]:
    """What the page says of a detector; it is opened to see that it can be."""
    is_exported = path.suffix.lower() == ".onnx"
    detector = open_detector(path, device="cpu" if is_exported else options.device)
    spec = frame_spec_of(detector)
    return {
        "name": name,
        "input": "videos" if spec.preprocess == PICTURES else "events",
        "size": f"{spec.width}x{spec.height}",
        "delta_t": spec.delta_t,
        "classes": list(spec.class_names),
    }


def _can_track() -> bool:
    try:
        Tracker("bytetrack")
    except TrackingUnavailableError:
        return False
    return True


def _print_address(listener: socket.socket, host: str) -> None:
    address, port = listener.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    is_any = ipaddress.ip_address(address).is_unspecified
    shown = "localhost" if is_any else shown
    print(f"evdet serve: http://{shown}:{port}/ (Ctrl-C ends it)", flush=True)
    if not ipaddress.ip_address(address).is_loopback:
        print(
            f"warning: --host {host} lets every machine that reaches this one use it, without a "
            "password"
        )
