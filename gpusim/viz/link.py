"""The web socket between the app and its page: the messages that the page sends, and no others."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from wslink.backends.aiohttp import AioHttpWsHandler
from wslink.protocol import EXCEPTION_ERROR, METHOD_NOT_FOUND

from gpusim.viz.access import Access

_LARGEST = 64 * 1024
"""Bytes of a message from the page."""

Number = Annotated[float, Field(allow_inf_nan=False)]
Pixels = Annotated[Number, Field(ge=1, le=8192)]
"""Not whole numbers while the page is being laid out."""
_Share = Annotated[Number, Field(ge=-4, le=4)]
_Key = Annotated[int, Field(ge=0, le=1)]


class _Message(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _Rpc(_Message):
    wslink: Literal["1.0"]
    id: Annotated[str, Field(pattern=r"^(rpc|system):\w{1,40}:\d{1,15}$")]
    method: Annotated[str, Field(max_length=80)]
    args: Annotated[list[Any], Field(max_length=8)]
    kwargs: Annotated[dict[str, Any], Field(max_length=0)]


class _Hello(_Message):
    secret: Annotated[str, Field(max_length=200)]


class _Change(_Message):
    key: str
    value: Any


class _Size(_Message):
    view: str
    size: Annotated[list[Pixels], Field(min_length=2, max_length=2)]


class _Pointer(_Message):
    view: str
    action: Literal["down", "up", "dblclick"]
    x: _Share
    y: _Share
    buttonLeft: _Key
    buttonMiddle: _Key
    buttonRight: _Key
    shiftKey: _Key
    altKey: _Key
    ctrlKey: _Key
    metaKey: _Key


class _Wheel(_Message):
    view: str
    type: Literal["StartMouseWheel", "MouseWheel", "EndMouseWheel"]
    spinY: Annotated[Number, Field(ge=-100, le=100)] | None = None
    action: Literal["down", "up"] | None = None
    x: _Share | None = None
    y: _Share | None = None
    buttonLeft: _Key | None = None
    buttonMiddle: _Key | None = None
    buttonRight: _Key | None = None
    shiftKey: _Key | None = None
    altKey: _Key | None = None
    ctrlKey: _Key | None = None
    metaKey: _Key | None = None


_Moment = Literal["client_connected", "client_mounted", "client_unmounted", "client_exited"]
_Quality = Annotated[Number, Field(ge=0, le=100)]
_Ratio = Annotated[Number, Field(gt=0, le=2)]
_METHODS: dict[str, Any] = {
    "wslink.hello": tuple[_Hello],
    "trame.state.get": tuple[()],
    "trame.state.update": tuple[Annotated[list[_Change], Field(max_length=100)]],
    "trame.trigger": tuple[str, list[Any], Annotated[dict[str, Any], Field(max_length=0)]],
    "trame.lifecycle.update": tuple[_Moment],
    "viewport.image.push": tuple[_Size],
    "viewport.image.push.enabled": tuple[str, bool],
    "viewport.image.push.invalidate.cache": tuple[str],
    "viewport.image.push.observer.add": tuple[str],
    "viewport.image.push.observer.remove": tuple[str],
    "viewport.image.push.original.size": tuple[str, Pixels, Pixels],
    "viewport.image.push.quality": tuple[str, _Quality, _Ratio],
    "viewport.mouse.interaction": tuple[_Pointer],
    "viewport.mouse.zoom.wheel": tuple[_Wheel],
}
"""Of wslink, trame and VTK, what the page of the app calls, with the types of the arguments."""


class Link(AioHttpWsHandler):  # type: ignore[misc]
    """wslink's handler of web sockets, which takes from a page what has a meaning and answers the rest with an error.

    Args:
        protocol, server: wslink's.
        access: who holds the token.
        view: VTK's number of the window that is looked at.
        states: for each state of the app that a page may set, its type.
        acts: for each name of a trigger, the type of its arguments, a tuple.
    """

    def __init__(
        self, protocol: Any, server: Any, access: Access, view: str, states: Mapping[str, Any], acts: Mapping[str, Any]
    ) -> None:
        super().__init__(protocol, server)
        self._access, self._view = access, view
        self._rpc = TypeAdapter(_Rpc)
        self._methods, self._states, self._acts = (
            {name: TypeAdapter(each, config=ConfigDict(strict=True)) for name, each in known.items()}
            for known in (_METHODS, states, acts)
        )

    async def validateToken(self, token: object, client_id: str) -> bool:
        """Whether a page may go on."""
        return self._access.admits(token)

    async def onMessage(self, is_binary: bool, msg: Any, client_id: str) -> None:
        """A message, or part of one; who sends something else is cut off."""
        self.unchunkers[client_id].set_max_message_size(_LARGEST)
        try:
            if not is_binary:
                raise ValueError("text")
            rpc = self.unchunkers[client_id].process_chunk(msg.data)
        except ValueError:
            await self.connections[client_id].close(code=aiohttp.WSCloseCode.UNSUPPORTED_DATA)
            return
        if rpc is not None:
            with self.network_monitor:
                await self.onCompleteMessage(rpc, client_id)

    async def onCompleteMessage(self, rpc: Any, client_id: str) -> None:
        """Act on a message."""
        fault = self._fault(rpc)
        if fault is None:
            await super().onCompleteMessage(rpc, client_id)
        else:
            name = rpc.get("id") if isinstance(rpc, dict) else None
            await self.sendWrappedError(str(name)[:80], *fault, client_id=client_id)

    def _fault(self, rpc: Any) -> tuple[int, str] | None:
        """The code and the text of what is wrong with a message."""
        try:
            self._rpc.validate_python(rpc)
            method, arguments = rpc["method"], rpc["args"]
            if method not in self._methods:
                return METHOD_NOT_FOUND, f"no method {method!r}"
            self._methods[method].validate_python(tuple(arguments))
            if method == "trame.state.update":
                for change in arguments[0]:
                    _meant("state", self._states, change["key"]).validate_python(change["value"])
            elif method == "trame.trigger":
                _meant("trigger", self._acts, arguments[0]).validate_python(tuple(arguments[1]))
            elif method.startswith("viewport."):
                view = arguments[0]["view"] if isinstance(arguments[0], dict) else arguments[0]
                if view != self._view:
                    raise LookupError(f"no view {view!r}")
        except ValidationError as error:
            first = error.errors()[0]
            return EXCEPTION_ERROR, f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        except LookupError as error:
            return EXCEPTION_ERROR, str(error)
        return None

    def getAuthenticatedWebsockets(self, *args: Any, **kwargs: Any) -> list[_Socket]:
        """Where to send to."""
        return [_Socket(each) for each in super().getAuthenticatedWebsockets(*args, **kwargs) if each is not None]

    async def sendWrappedError(self, *args: Any, **kwargs: Any) -> None:
        """Answer with an error."""
        with contextlib.suppress(ConnectionError):
            await super().sendWrappedError(*args, **kwargs)


class _Socket:
    """A web socket whose page may have been closed."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    async def send_bytes(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            await self._socket.send_bytes(data)


def _meant(kind: str, known: Mapping[str, TypeAdapter[Any]], name: str) -> TypeAdapter[Any]:
    if name not in known:
        raise LookupError(f"no {kind} {name!r}")
    return known[name]
