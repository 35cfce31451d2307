import asyncio

import pytest

requests = pytest.importorskip("starlette.requests")
responses = pytest.importorskip("starlette.responses")
guard = pytest.importorskip("evdet.cli.detect.serve.guard")

HERE = "127.0.0.1:8000"


def status(method="GET", path="/api/choices", **headers):
    headers = {"host": HERE, **{name.replace("_", "-"): text for name, text in headers.items()}}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), text.encode()) for name, text in headers.items()],
    }

    async def answer(request):
        return responses.Response("done")

    response = asyncio.run(guard.Guard(["lab.local"])(requests.Request(scope), answer))
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    return response.status_code


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", HERE, "[::1]:8000", "10.0.0.7", "lab.local:80"]
)
def test_this_machine_is_served(host):
    assert status(host=host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example",
        "lab.local.evil.example", "127.0.0.1@evil.example", "[::1]evil", "2130706433", "[evil]:80",
    ],
)  # fmt: skip
def test_a_name_that_is_not_of_this_machine_is_refused(host):
    assert status(host=host) == 403
    assert status("POST", host=host, x_evdet="page", origin=f"http://{host}") == 403


def test_a_change_needs_the_mark_of_the_page():
    assert status("POST") == 403
    assert status("DELETE") == 403
    assert status("POST", **{guard.MARK: "page"}) == 200


@pytest.mark.parametrize("origin", ["null", "http://evil.example", "http://127.0.0.1:9000", ""])
def test_a_change_from_another_origin_is_refused(origin):
    assert status("POST", x_evdet="page", origin=origin) == 403
    assert status("POST", x_evdet="page", origin=f"http://{HERE}") == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_may_link_to_the_page_and_read_nothing(site):
    assert status(path="/", sec_fetch_site=site) == 200
    assert status(path="/api/choices", sec_fetch_site=site) == 403
    assert status("POST", x_evdet="page", sec_fetch_site=site) == 403
    assert status(sec_fetch_site="same-origin") == 200
