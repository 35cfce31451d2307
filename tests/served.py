"""`evdet serve` in a process of its own, for tests."""

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from urllib.parse import quote


class Served:
    """A server and one client of it."""

    def __init__(self, process, url):
        self.process, self.url, self.cookie = process, url, None

    def ask(self, method, path, body=None, **headers):
        """The status and the content of an answer; bodies other than bytes are sent as JSON."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if method != "GET":
            headers = {"X-Evdet": "test", **headers}
        if self.cookie is not None:
            headers.setdefault("Cookie", self.cookie)
        headers = {name: value for name, value in headers.items() if value is not None}
        asked = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers

    def login(self):
        """Load the page, for its cookie."""
        _, _, headers = self.ask("GET", "/")
        self.cookie = headers["Set-Cookie"].partition(";")[0]
        return self

    def another(self):
        """Another client of the same server."""
        return Served(self.process, self.url).login()

    def json(self, method, path, body=None, **headers):
        """The status and the JSON of an answer."""
        status, content, _ = self.ask(method, path, body, **headers)
        return status, json.loads(content)

    def upload(self, content, name="x.dat"):
        """Send a recording; gives its id."""
        status, answer = self.json("POST", f"/api/recordings?name={quote(name, safe='')}", content)
        assert status == 200, answer
        return answer["id"]

    def wait(self, job, *, seconds=300):
        """The last state of a detection."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            _, now = self.json("GET", f"/api/jobs/{job}")
            if now["state"] not in ("waiting", "running"):
                return now
            time.sleep(0.1)
        raise AssertionError(f"still {now}")

    def detect(self, source, **fields):
        """Detect, and give the last state."""
        status, answer = self.json("POST", "/api/jobs", {"source": source, **fields})
        assert status == 202, answer
        return self.wait(answer["id"]) | {"id": answer["id"]}


@contextlib.contextmanager
def served(*options, env=None):
    """Start `evdet serve` on a free port."""
    program = "import sys; from evdet.cli import main; sys.exit(main(sys.argv[1:]))"
    settings = ("--port", "0", "--threads", "1", "--device", "cpu")
    command = [sys.executable, "-c", program, "serve", *settings, *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
    )
    try:
        line = process.stdout.readline()
        found = re.search(r"(http://\S+:\d+)/", line)
        assert found, line + process.stdout.read()
        yield Served(process, found[1])
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        process.stdout.close()
        process.wait()
