"""What every request is held against: its host, its origin, and the headers of every answer."""

import ipaddress
from collections.abc import Awaitable, Callable, Iterable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

__all__ = ["MARK", "Guard"]

MARK = "x-evdet"
"""A header of every request that changes something. Forms of other sites cannot send it, and their
scripts may not: a browser asks the server before, which does not agree."""

_READING = ("GET", "HEAD")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "media-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

Answer = Callable[[Request], Awaitable[Response]]


class Guard:
    """Refuses requests of other sites.

    A page of another site can make its name point to this machine (DNS rebinding), so that a
    browser takes this server for that site. Its requests carry the site's name as their host: only
    names of this machine, and numbers, are answered.

    Args:
        names: of this machine.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {"localhost", *(name.lower() for name in names)}

    async def __call__(self, request: Request, answer: Answer) -> Response:
        """Answer a request, or refuse it."""
        reason = self._reason(request)
        refused = None if reason is None else PlainTextResponse(f"{reason}\n", status_code=403)
        response = refused or await answer(request)
        response.headers.update(_HEADERS)
        return response

    def _reason(self, request: Request) -> str | None:
        host = request.headers.get("host", "")
        if not self._is_of_this_machine(host):
            return "this host name is not served: name it with --allow-host"
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            # Following a link to the page is harmless.
            is_link = request.method == "GET" and request.url.path == "/"
            if not is_link:
                return "requests of other sites are not answered"
        if request.method in _READING:
            return None
        origin = request.headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return "requests of other sites are not answered"
        if MARK not in request.headers:
            return f"the header {MARK} is missing"
        return None

    def _is_of_this_machine(self, host: str) -> bool:
        name = _without_port(host).lower()
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _without_port(host: str) -> str:
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
        return name if not port or port.startswith(":") else host
    return host.rpartition(":")[0] if host.count(":") == 1 else host
