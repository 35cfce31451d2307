"""`evdet serve` as a whole: the process of the server, that of its worker, and its end."""

import signal
import socket
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from evdet.cli import main
from evdet.cli.detect.serve import ServeOptions
from evdet.cli.detect.serve.command import _names_of
from evdet.samples import sample_recording
from served import served

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")


@pytest.fixture
def said(capsys):
    def run(*words):
        status = main(["serve", *words])
        return status, capsys.readouterr().err.strip()

    return run


def test_detectors_of_one_name_are_told_apart():
    paths = [Path("runs/a/best.ckpt"), Path("runs/b/best.ckpt"), Path("x.onnx")]

    assert _names_of(paths) == ["runs/a/best.ckpt", "runs/b/best.ckpt", "x.onnx"]


def test_this_machine_alone_is_served_by_default():
    assert ServeOptions().host == "127.0.0.1"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--port", "65536"], "--port must be from 0 to 65535"),
        (["--port", "-1"], "--port must be from 0 to 65535"),
        (["--max-upload", "0"], "--max-upload must be more than 0"),
        (["--max-seconds", "nan"], "--max-seconds must be finite"),
        (["--keep", "-1"], "--keep must be more than 0"),
        (["--threads", "-1"], "--threads must be"),
        (["--host", "256.1.1.1", "--port", "0"], "cannot listen on 256.1.1.1:0"),
        (["--port", "0", "--checkpoint", "nowhere.ckpt"], "nowhere.ckpt"),
    ],
)
def test_an_option_that_cannot_be_used_is_one_line(said, words, message):
    status, error = said(*words)

    assert status == 2
    assert message in error
    assert "\n" not in error


def test_a_port_in_use_is_one_line_with_the_remedy(said):
    with socket.create_server(("127.0.0.1", 0)) as other:
        status, error = said("--port", str(other.getsockname()[1]))

    assert status == 2
    assert "in use" in error
    assert "--port 0" in error


def test_a_missing_library_is_one_line_with_the_remedy(said, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    status, error = said("--port", "0")

    assert status == 2
    assert "pip install 'evdet[web]'" in error


@pytest.mark.slow
def test_recordings_are_detected_in_and_the_server_ends_quietly(tmp_path):
    with served("--max-upload", "3", "--keep", "5") as server:
        server.login()
        now = server.detect("sample-nmnist", track=True, score_thresh=0.3)
        assert now["state"] == "done", now
        assert {"5", "8", "7"} <= {name for name, _, _ in now["result"]["counts"]}
        for name in now["result"]["files"]:
            status, content, _ = server.ask("GET", f"/api/jobs/{now['id']}/{name}")
            assert status == 200
            assert len(content) > 1000

        path = sample_recording()
        again = server.detect(server.upload(path.read_bytes(), "drive.dat"))
        assert again["result"]["source"].startswith("DAT, 128x128, 304,574 events")

        for name, content, message in (
            ("x.raw", b"nothing" * 99, "x.raw"),
            ("x.h5", b"\x89HDF\r\n\x1a\n" + bytes(500), "x.h5"),
            ("x.npz", b"PK\x03\x04" + bytes(90), "x.npz"),
            ("x.pkl", b"\x80\x04.", "x.pkl"),
            ("x.mp4", b"0" * 99, "x.mp4"),
        ):
            failed = server.detect(server.upload(content, name))
            assert failed["state"] == "failed", name
            assert message in failed["error"]
            assert "\n" not in failed["error"]
            assert "/tmp" not in failed["error"]

        truncated = server.detect(server.upload(path.read_bytes()[:1_000_003], "cut.dat"))
        assert truncated["state"] == "done"
        assert any("ends within" in note for note in truncated["result"]["notes"])

        huge = np.zeros(9, [("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
        huge["x"] = huge["y"] = 65_000
        huge["t"] = range(9)
        np.save(tmp_path / "huge.npy", huge)
        refused = server.detect(server.upload((tmp_path / "huge.npy").read_bytes(), "huge.npy"))
        assert refused["state"] == "failed"
        assert "65001x65001" in refused["error"]

        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 0
        assert server.process.stdout.read() == "ended; recordings and results are removed\n"


@pytest.mark.slow
def test_a_detection_is_ended_in_its_process(tmp_path):
    with served("--max-seconds", "0.5") as server:
        server.login()
        now = server.detect("sample")
        assert now["state"] == "failed"
        assert "--max-seconds" in now["error"]


def is_worker(process):
    try:
        return any("spawn_main" in word for word in process.cmdline())
    except psutil.Error:  # it has ended
        return False


@pytest.mark.slow
def test_a_process_that_is_killed_fails_one_detection(tmp_path):
    with served("--checkpoint", "events-digits", "events-digits") as server:
        server.login()
        status, answer = server.json("POST", "/api/jobs", {"source": "sample"})
        assert status == 202
        worker = None
        while worker is None:  # it starts with the first detection
            children = psutil.Process(server.process.pid).children()
            worker = next(filter(is_worker, children), None)
        worker.kill()

        failed = server.wait(answer["id"])
        assert failed["state"] == "failed"
        assert "ended" in failed["error"]
        assert server.detect("sample")["state"] == "done"
