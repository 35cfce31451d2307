"""The page's requests over HTTP on loopback, and attacks; the worker finds nothing, at once."""

import contextlib
import socket
import threading
import time

import pytest

from evdet.cli.detect.serve.detection import Progress, Result
from evdet.cli.detect.serve.jobs import Jobs, Limits
from evdet.cli.detect.serve.worker import Worker, WorkerError
from served import Served

pytest.importorskip("starlette")
uvicorn = pytest.importorskip("uvicorn")
app = pytest.importorskip("evdet.cli.detect.serve.app")

DETECTORS = [{"name": "one", "input": "events", "size": "8x8", "delta_t": 1, "classes": ["a"]}]
SECRET = "root:x:0:0"


class FakeWorker(Worker):
    """Finds nothing, at once or when it is allowed to."""

    def __init__(self):
        super().__init__(())
        self.may_end = threading.Event()
        self.may_end.set()
        self.tasks = []
        self.error = None

    def run(self, task, *, report, problem):
        self.tasks.append(task)
        report(Progress(num_frames=1, total=2, num_boxes=0))
        while not self.may_end.wait(0.01):
            reason = problem()
            if reason is not None:
                raise WorkerError(reason)
        if self.error:
            raise WorkerError(self.error.format(path=task.path, folder=task.folder))
        (task.folder / "boxes.csv").write_text("t,x\n")
        (task.folder / "boxes.mp4").write_bytes(bytes(range(100)))
        (task.folder / "secret.txt").write_text(SECRET)
        return Result(
            source="a", num_frames=2, duration=1.0, seconds=1.0, counts=[("a", 2, 1)],
            files=["boxes.mp4", "boxes.csv"], notes=[f"{task.path}: odd"],
        )  # fmt: skip

    def close(self):
        pass


@contextlib.contextmanager
def running(folder, *, max_bytes=1000, max_seconds=60.0, keep_seconds=60.0, max_waiting=1):
    folder.mkdir(exist_ok=True)
    worker = FakeWorker()
    limits = Limits(
        max_bytes=max_bytes,
        max_seconds=max_seconds,
        keep_seconds=keep_seconds,
        max_waiting=max_waiting,
    )
    jobs = Jobs(folder, worker, limits)
    page = app.make_app(jobs, DETECTORS, can_track=True)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(page, log_level="critical", lifespan="off", ws="none", http="h11")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        client = Served(None, f"http://127.0.0.1:{listener.getsockname()[1]}").login()
        client.worker = worker
        yield client
    finally:
        worker.may_end.set()
        server.should_exit = True
        thread.join()
        jobs.close()
        listener.close()


@pytest.fixture
def client(tmp_path):
    with running(tmp_path / "served") as client:
        yield client


def test_a_recording_is_sent_and_its_result_downloaded(client, tmp_path):
    now = client.detect(client.upload(b"events", "drive.DAT"))

    assert now["state"] == "done"
    assert now["name"] == "drive.DAT"
    assert now["progress"] == {"num_frames": 1, "total": 2, "num_boxes": 0}
    assert now["result"]["counts"] == [["a", 2, 1]]
    path = f"/api/jobs/{now['id']}/boxes.csv"
    status, content, headers = client.ask("GET", path)
    assert (status, content) == (200, b"t,x\n")
    assert headers["Content-Disposition"] == 'attachment; filename="boxes.csv"'
    (task,) = client.worker.tasks
    assert task.path.name == "recording.dat"
    assert task.path.is_relative_to(tmp_path / "served")


def test_a_browser_can_seek_in_a_video(client):
    now = client.detect("sample")

    path = f"/api/jobs/{now['id']}/boxes.mp4"
    status, content, _ = client.ask("GET", path, Range="bytes=10-19")

    assert (status, content) == (206, bytes(range(10, 20)))


def test_messages_have_no_path_of_this_machine(client, tmp_path):
    source = client.upload(b"x", "a b.raw")
    assert client.detect(source)["result"]["notes"] == ["a b.raw: odd"]

    client.worker.error = "{path}: damaged, index {path}.evdet-index, in {folder}"
    error = client.detect(source)["error"]

    assert error.startswith("a b.raw: damaged")
    assert str(tmp_path) not in error


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd", "/etc/passwd",
        "//etc/passwd", "/page/index.html", "/page.js/../command.py", "/command.py", "/.git/config",
        "/api/jobs/JOB/secret.txt", "/api/jobs/JOB/../../etc/passwd", "/api/jobs/JOB/%2e%2e%2fx",
        "/api/jobs/JOB/..%2f..%2f..%2fetc%2fpasswd", "/api/jobs/JOB//etc/passwd",
        "/api/jobs/JOB/boxes.npy", "/api/jobs/JOB/", "/api/jobs/", "/api/jobs/..",
        "/api/recordings",
        "/api/jobs/JOB/boxes.csv%00.txt", "/api/jobs/%2e%2e/boxes.csv",
    ],
)  # fmt: skip
def test_no_other_file_is_sent(client, path):
    job = client.detect("sample")["id"]

    status, content, _ = client.ask("GET", path.replace("JOB", job))

    assert status in (404, 405)
    assert SECRET.encode() not in content


def test_another_client_sees_nothing_of_a_recording(client):
    source = client.upload(b"x")
    job = client.detect(source)["id"]
    other = client.another()

    assert other.ask("GET", f"/api/jobs/{job}")[0] == 404
    assert other.ask("GET", f"/api/jobs/{job}/boxes.csv")[0] == 404
    assert other.ask("DELETE", f"/api/jobs/{job}")[0] == 404
    status, answer = other.json("POST", "/api/jobs", {"source": source})
    assert (status, answer["error"]) == (
        400,
        "the recording is not here (any more): choose it again",
    )


@pytest.mark.parametrize(
    "cookie", [None, "evdet=", "evdet=short", "evdet=../../../../etc/passwd0000"]
)
def test_a_client_without_the_pages_cookie_starts_nothing(client, cookie):
    assert client.json("POST", "/api/jobs", {"source": "sample"}, Cookie=cookie)[0] == 403
    assert client.json("POST", "/api/recordings?name=x.dat", b"x", Cookie=cookie)[0] == 403


def test_a_page_of_another_site_starts_nothing(client):
    asked = ("POST", "/api/jobs", {"source": "sample"})
    assert client.ask(*asked, Host="evil.example")[0] == 403
    assert client.ask(*asked, Origin="http://evil.example")[0] == 403
    assert client.ask(*asked, Origin="null")[0] == 403
    assert client.ask(*asked, X_Evdet=None)[0] == 403
    assert client.ask("OPTIONS", "/api/jobs", Origin="http://evil.example", X_Evdet=None)[0] == 403
    assert client.worker.tasks == []


@pytest.mark.parametrize(
    "name", ["../../../tmp/evil.dat", "/etc/cron.d/x", "..\\..\\x.dat", "x\x00.dat"]
)
def test_a_name_of_an_upload_is_no_path(client, tmp_path, name):
    client.detect(client.upload(b"x", name))

    (task,) = client.worker.tasks
    assert task.path.parent.parent == tmp_path / "served"
    assert task.path.stem == "recording"
    assert {path.name for path in tmp_path.iterdir()} == {"served"}


def test_a_file_that_is_too_large_is_refused_and_removed(client, tmp_path):
    status, answer = client.json("POST", "/api/recordings?name=x.dat", bytes(1001))

    assert status == 413
    assert "--max-upload" in answer["error"]
    assert not list((tmp_path / "served").rglob("*"))
    client.upload(bytes(1000))


def test_a_stated_length_below_the_content_is_of_no_use(client, tmp_path):
    # Chunked: no length is stated, and the content exceeds the limit.
    address = client.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=30) as line:
        line.sendall(
            b"POST /api/recordings?name=x.dat HTTP/1.1\r\nHost: localhost\r\nX-Evdet: test\r\n"
            + f"Cookie: {client.cookie}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        for _ in range(3):
            line.sendall(b"1f4\r\n" + bytes(500) + b"\r\n")
        assert b" 413 " in line.recv(1000)
    assert not [path for path in (tmp_path / "served").rglob("*") if path.is_file()]


def test_an_upload_that_stops_is_removed(client, tmp_path):
    address = client.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=30) as line:
        line.sendall(
            b"POST /api/recordings?name=x.dat HTTP/1.1\r\nHost: localhost\r\nX-Evdet: test\r\n"
            + f"Cookie: {client.cookie}\r\nContent-Length: 900\r\n\r\n".encode()
            + bytes(100)
        )
        time.sleep(0.2)
    for _ in range(100):
        if not list((tmp_path / "served").rglob("*")):
            break
        time.sleep(0.05)
    assert not list((tmp_path / "served").rglob("*"))


def test_an_empty_file_is_refused(client):
    status, answer = client.json("POST", "/api/recordings?name=x.dat", b"")

    assert (status, answer["error"]) == (400, "x.dat is empty")


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 9000, b"\xff", b"{}" * 20_000, b"[]", b"3"])
def test_a_request_that_is_no_json_object_is_refused(client, body):
    assert client.json("POST", "/api/jobs", body)[0] == 400


def test_a_client_has_one_detection_at_a_time(client):
    client.worker.may_end.clear()
    first = client.json("POST", "/api/jobs", {"source": "sample"})[1]["id"]

    status, answer = client.json("POST", "/api/jobs", {"source": "sample"})

    assert status == 409
    assert "cancel it" in answer["error"]
    client.worker.may_end.set()
    assert client.wait(first)["state"] == "done"
    assert client.detect("sample")["state"] == "done"
    assert client.ask("GET", f"/api/jobs/{first}")[0] == 404  # its result made room


def test_few_detections_wait(client):
    client.worker.may_end.clear()
    clients = [client, client.another(), client.another()]
    asked = [one.json("POST", "/api/jobs", {"source": "sample"}) for one in clients]

    assert [status for status, _ in asked] == [202, 202, 409]
    assert clients[1].json("GET", f"/api/jobs/{asked[1][1]['id']}")[1]["before"] == 1


def test_a_detection_is_cancelled_running_or_waiting(client):
    client.worker.may_end.clear()
    other = client.another()
    running_one = client.json("POST", "/api/jobs", {"source": "sample"})[1]["id"]
    waiting = other.json("POST", "/api/jobs", {"source": "sample"})[1]["id"]

    assert other.json("DELETE", f"/api/jobs/{waiting}")[1]["state"] == "cancelled"
    client.json("DELETE", f"/api/jobs/{running_one}")

    assert client.wait(running_one)["state"] == "cancelled"
    client.worker.may_end.set()
    assert client.detect("sample")["state"] == "done"


def test_a_detection_has_an_end(tmp_path):
    with running(tmp_path / "served", max_seconds=0.1) as client:
        client.worker.may_end.clear()
        now = client.detect("sample")

    assert now["state"] == "failed"
    assert "--max-seconds" in now["error"]


def test_what_was_not_asked_for_is_removed(tmp_path):
    with running(tmp_path / "served", keep_seconds=0.1) as client:
        client.detect(client.upload(b"x"))
        for _ in range(100):
            if not list((tmp_path / "served").iterdir()):
                break
            time.sleep(0.05)
        assert not list((tmp_path / "served").iterdir())


def test_uploads_have_room_for_few(tmp_path):
    with running(tmp_path / "served", max_bytes=100) as client:
        for _ in range(8):
            client.another().upload(bytes(100))

        status, answer = client.json("POST", "/api/recordings?name=x.dat", bytes(1))

    assert status == 503
    assert "try again" in answer["error"]


def test_a_second_upload_replaces_the_first(client, tmp_path):
    first = client.upload(b"x")
    client.upload(b"y")

    assert client.json("POST", "/api/jobs", {"source": first})[0] == 400
    assert len(list((tmp_path / "served").rglob("recording.dat"))) == 1
