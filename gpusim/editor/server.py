"""The server of the model builder: the page, and what it asks for, as JSON."""

from __future__ import annotations

import asyncio
import webbrowser
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from gpusim.editor.draft import Draft
from gpusim.editor.small import SmallRun
from gpusim.errors import GpusimError
from gpusim.scenario import Document, about, library, parse_set, presets
from gpusim.viz.access import Access

_PAGE = Path(__file__).parent / "page"
_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
_MOST_BYTES = 2_000_000


class Editor:
    """One draft, which all tabs of a browser share.

    Args:
        draft: the file.
    """

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.small: SmallRun | None = None
        self._turn = asyncio.Lock()

    def application(self, access: Access) -> web.Application:
        """The web application, which serves only whom `access` admits."""
        app = web.Application(client_max_size=_MOST_BYTES)
        access.protect(app)
        app.router.add_get("/index.html", self._index)
        app.router.add_static("/page", _PAGE)
        app.router.add_get("/api/schema", self._schema)
        app.router.add_get("/api/draft", self._view)
        app.router.add_get("/api/run", self._progress)
        for name, act in self._acts.items():
            app.router.add_post(f"/api/{name}", self._posted(act))
        app.on_cleanup.append(self._end)
        return app

    @property
    def _acts(self) -> Mapping[str, Callable[[Any], None]]:
        """What the page can ask for, by name; each takes the JSON that was sent."""
        return {
            "put": lambda sent: self.draft.put(tuple(sent["path"]), str(sent["value"])),
            "remove": lambda sent: self.draft.remove(tuple(sent["path"])),
            "text": lambda sent: self.draft.write(str(sent["text"])),
            "undo": lambda _: self.draft.undo(),
            "save": lambda _: self.draft.save(),
            "run": self._start,
            "stop": lambda _: self._stop(),
        }

    def _posted(self, act: Callable[[Any], None]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            async with self._turn:
                failed = ""
                try:
                    sent = await request.json()
                    await asyncio.to_thread(act, sent)
                except GpusimError as error:
                    failed = str(error)
                except (KeyError, TypeError, ValueError) as error:
                    raise web.HTTPBadRequest(text=f"gpusim edit: {type(error).__name__}: {error}") from None
                return web.json_response(await asyncio.to_thread(self.draft.view) | {"failed": failed})

        return answer

    async def _index(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(_PAGE / "index.html", headers={"Content-Security-Policy": _POLICY})

    async def _schema(self, _: web.Request) -> web.Response:
        parts = {kind: {name: about(path) for name, path in files.items()} for kind, files in library().items()}
        shipped = {"scenarios": {name: about(path) for name, path in presets().items()}}
        return web.json_response({"schema": Document.model_json_schema(), "library": shipped | parts})

    async def _view(self, _: web.Request) -> web.Response:
        async with self._turn:
            return web.json_response(await asyncio.to_thread(self.draft.view))

    async def _progress(self, _: web.Request) -> web.Response:
        return web.json_response(self.small.view() if self.small else {"state": "none"})

    def _start(self, sent: Any) -> None:
        """Begin a small run, with the changed values that were sent, as those of `--set`."""
        self._stop()
        scenario = self.draft.scenario()
        changes = {path: value for path, value in sent["set"].items() if value}
        if scenario.document.trial is not None:
            changes["trial"] = ""
        read = dict(parse_set(f"{path}={value}") for path, value in changes.items())
        self.small = SmallRun(scenario.overridden(read, "small run"), str(sent["backend"]))

    def _stop(self) -> None:
        if self.small:
            self.small.stop()

    async def _end(self, _: web.Application) -> None:
        await asyncio.to_thread(self._stop)


def serve(draft: Draft, access: Access, port: int, open_browser: bool, ready: Callable[[str], None]) -> None:
    """Serve until interrupted; `ready` gets the address. Raises `OSError` where the port is taken."""

    async def until_interrupted() -> None:
        runner = web.AppRunner(Editor(draft).application(access))
        await runner.setup()
        try:
            site = web.TCPSite(runner, access.host, port)
            await site.start()
            address = access.address(runner.addresses[0][1])
            ready(address)
            if open_browser:
                webbrowser.open(address)
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    try:
        asyncio.run(until_interrupted())
    except KeyboardInterrupt:
        pass
