"""Access to the app's server: only the browser that was given its address, only by the server's own name."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

_HEADERS = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Access:
    """Refuses with status 403 each request that is not the app's own.

    A request must carry the token, a random one of each server: as `secret` in its query, or in the cookie that `/`
    sets then. Its `Host` must be a name of this machine, so that a name which a stranger makes
    point to it (DNS rebinding) is of no use. Where it has an `Origin`, this must be the server itself.

    Args:
        host: the address that the server binds to.
        name: of the command that serves, for messages.
    """

    def __init__(self, host: str, name: str = "gpusim view") -> None:
        self.host = host
        self.name = name
        self.token = secrets.token_urlsafe(32)

    @property
    def local(self) -> bool:
        """Whether only this machine reaches the server."""
        return _loopback(self.host)

    def address(self, port: int) -> str:
        """What to open in a browser."""
        everywhere = self.host in ("0.0.0.0", "::")
        name = socket.gethostname() if everywhere else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{name}:{port}/?secret={self.token}"

    def protect(self, app: web.Application) -> None:
        """Check every request to an application that has not started."""
        app.middlewares.append(self._check)
        app.on_response_prepare.append(_harden)
        app.router.add_get("/", self._enter)

    @web.middleware  # type: ignore[untyped-decorator]
    async def _check(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        if not self._own(host):
            raise web.HTTPForbidden(text=f"{self.name}: not served under the name {host!r}")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise web.HTTPForbidden(text=f"{self.name}: no requests from pages of {origin!r}")
        given = request.query.get("secret") or request.cookies.get(_cookie(request), "")
        if not self.admits(given):
            raise web.HTTPForbidden(text=f"{self.name}: open the address that the command printed, with its secret")
        return await handler(request)

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        """Lead to the page, which takes the secret from its address and clears it there."""
        answer = web.HTTPFound(f"index.html?secret={self.token}")
        answer.set_cookie(_cookie(request), self.token, httponly=True, samesite="Strict")
        raise answer

    def admits(self, token: object) -> bool:
        """Whether it is the server's token, in a time that does not depend on how much of it is right."""
        return isinstance(token, str) and secrets.compare_digest(token.encode(), self.token.encode())

    def _own(self, host: str) -> bool:
        """Whether a Host header names this machine; its port may be another one, as through a tunnel."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if _loopback(name) or name == self.host.lower():
            return True
        # An address of digits can't be made to point elsewhere.
        return not self.local and (_digits(name) or name in (socket.gethostname().lower(), socket.getfqdn().lower()))


async def _harden(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def _cookie(request: web.Request) -> str:
    """A name for each port: browsers give cookies to all ports of a host."""
    return f"gpusim-{urlsplit(f'//{request.host}').port or 80}"


def _digits(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _loopback(name: str) -> bool:
    return name == "localhost" or (_digits(name) and ip_address(name).is_loopback)
