"""A stand-in of the Hugging Face Hub on the loopback device: its interface for one repository."""

import contextlib
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

__all__ = ["hub_of"]

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextlib.contextmanager
def hub_of(files, *, repository="org/digits", revisions=("main", COMMIT), error=None):
    """Serve files of one repository.

    Args:
        files: content by name.
        repository: its name.
        revisions: that it has.
        error: status and X-Error-Code of every answer.

    Yields:
        The server's address, and the list of requests.
    """
    requests = []

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.answer(with_body=False)

        def do_GET(self):
            self.answer(with_body=True)

        def answer(self, *, with_body):
            path = unquote(urlsplit(self.path).path)
            requests.append((self.command, path))
            if error is not None:
                status, code = error
                self.reply(status, b"{}", {"X-Error-Code": code}, with_body=with_body)
            elif path.startswith("/api/models/"):
                self.describe(path.removeprefix("/api/models/"), with_body=with_body)
            else:
                self.give(path.strip("/"), with_body=with_body)

        def describe(self, path, *, with_body):
            name, _, rest = path.partition("/revision/")
            name, _, tree = name.partition("/tree/")
            revision = rest or tree or "main"
            if not self.knows(name, revision, with_body=with_body):
                return
            if tree:
                content = [
                    {"type": "file", "path": one, "size": len(data), "oid": etag(data)}
                    for one, data in files.items()
                ]
            else:
                content = {
                    "id": name,
                    "sha": COMMIT,
                    "siblings": [{"rfilename": one} for one in files],
                    "private": False,
                    "tags": [],
                    "downloads": 0,
                    "likes": 0,
                }
            body = json.dumps(content).encode()
            self.reply(200, body, {"Content-Type": "application/json"}, with_body=with_body)

        def give(self, path, *, with_body):
            name, _, rest = path.partition("/resolve/")
            revision = next((one for one in revisions if rest.startswith(f"{one}/")), "")
            if not self.knows(name, revision, with_body=with_body):
                return
            file = rest.removeprefix(f"{revision}/")
            if file not in files:
                code = {"X-Error-Code": "EntryNotFound"}
                self.reply(404, b"", code, with_body=with_body)
                return
            headers = {"ETag": f'"{etag(files[file])}"', "X-Repo-Commit": COMMIT}
            self.reply(200, files[file], headers, with_body=with_body)

        def knows(self, name, revision, *, with_body):
            code = None
            if name != repository:
                code = "RepoNotFound"
            elif revision not in revisions:
                code = "RevisionNotFound"
            if code is not None:
                self.reply(404, b"{}", {"X-Error-Code": code}, with_body=with_body)
            return code is None

        def reply(self, status, body, headers, *, with_body):
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def etag(data):
    return hashlib.sha1(data).hexdigest()
