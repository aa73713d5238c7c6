"""Who may talk to the app's server, and what a page may say: a script plays foreign pages, and the own one."""

import asyncio
import contextlib
import re
import subprocess
import sys
from itertools import count

import pytest

aiohttp = pytest.importorskip("aiohttp", reason="aiohttp is not installed")
pytest.importorskip("pyvista", reason="PyVista is not installed")
pytest.importorskip("trame", reason="trame is not installed")
import msgpack  # noqa: E402
from aiohttp import web  # noqa: E402
from aiohttp.test_utils import TestClient, TestServer  # noqa: E402

import gpusim  # noqa: E402
from gpusim.cli import app  # noqa: E402
from gpusim.errors import ResultError  # noqa: E402
from gpusim.viz.access import Access  # noqa: E402

SMALL = {
    "grid.shape": [8, 8, 8],
    "tissue.shapes.tumour.radius": "40 um",
    "time.until": "20 min",
    "record.every": "20 min",
}
PATIENCE = 120


def answers(host, requests):
    """The status of each (path, headers) from a protected server with one page."""

    async def page(_):
        return web.Response(text="the page")

    async def ask():
        access = Access(host)
        app = web.Application()
        access.protect(app)
        app.router.add_get("/page", page)
        async with TestClient(TestServer(app), cookie_jar=aiohttp.DummyCookieJar()) as client:

            async def status(path, headers):
                own = {"Host": f"127.0.0.1:{client.port}"} | headers
                filled = {key: value.format(port=client.port, token=access.token) for key, value in own.items()}
                answer = await client.get(path.format(token=access.token), headers=filled, allow_redirects=False)
                return answer.status

            return [await status(*each) for each in requests]

    return asyncio.run(ask())


OWN = "/page?secret={token}"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (OWN, {}, 200),
        (OWN, {"Host": "localhost:1"}, 200),  # through a tunnel
        (OWN, {"Host": "[::1]:8080"}, 200),
        (OWN, {"Host": "localhost:80", "Origin": "http://localhost:80"}, 200),
        ("/?secret={token}", {}, 302),
        ("/page", {"Cookie": "gpusim-{port}={token}"}, 200),
        ("/page", {}, 403),
        ("/nothing", {}, 403),
        ("/page?secret=", {}, 403),
        ("/page?secret=wslink-secret", {}, 403),
        ("/page?secret={token}x", {}, 403),
        ("/page", {"Cookie": "gpusim-{port}=x"}, 403),
        (OWN, {"Host": "rebound.example:80"}, 403),
        (OWN, {"Host": "127.0.0.1.rebound.example"}, 403),
        (OWN, {"Host": "192.168.0.7"}, 403),
        (OWN, {"Host": ""}, 403),
        (OWN, {"Host": "[::1"}, 403),
        (OWN, {"Host": "localhost:80", "Origin": "http://localhost:81"}, 403),
        (OWN, {"Origin": "https://foreign.example"}, 403),
        (OWN, {"Origin": "null"}, 403),
        (OWN, {"Origin": ""}, 403),
        (OWN, {"Host": "rebound.example", "Origin": "http://rebound.example"}, 403),
    ],
)
def test_only_the_page_with_the_secret_under_the_servers_own_name_is_answered(path, headers, status):
    assert answers("127.0.0.1", [(path, headers)]) == [status]


def test_beyond_this_machine_a_number_is_a_name_but_a_strangers_name_is_not():
    hosts = ("192.168.0.7:80", "localhost", "rebound.example")
    assert answers("0.0.0.0", [(OWN, {"Host": host}) for host in hosts]) == [200, 200, 403]


@pytest.mark.parametrize(("host", "local"), [("127.0.0.1", 1), ("localhost", 1), ("::1", 1), ("0.0.0.0", 0), ("me", 0)])
def test_what_is_bound_to_this_machine_alone_is_known(host, local):
    assert Access(host).local == local
    assert len(Access(host).token) >= 40
    assert Access(host).token != Access(host).token


def test_an_address_that_is_none_is_one_line_behind_the_note_of_who_else_could_come(capsys):
    arguments = ["view", "--live", "cold-to-hot", "--backend=numpy", "--no-browser", "--host=256.1.1.1"]
    with pytest.raises(ResultError, match=r"view: cannot serve at 256\.1\.1\.1, port 0: "):
        app([*arguments, *(f"--set={key}={value}" for key, value in SMALL.items())], standalone_mode=False)
    assert "note: served at 256.1.1.1 to other machines" in capsys.readouterr().err


# The whole app


class Talk:
    """What trame's page says over its web socket."""

    def __init__(self, socket):
        self._socket, self._numbers = socket, count(1)
        self.heard = {}

    async def call(self, method, *arguments, system=False):
        """The error of the answer, or None; states that come meanwhile are kept."""
        name = f"{'system' if system else 'rpc'}:c0:{next(self._numbers)}"
        await self.send({"wslink": "1.0", "id": name, "method": method, "args": list(arguments), "kwargs": {}})
        while True:
            answer = await self.listen()
            if answer["id"] == name:
                return answer.get("error", {}).get("message")

    async def send(self, message):
        packed = msgpack.packb(message)
        header = b"".join(number.to_bytes(4, "little") for number in (next(self._numbers), 0, len(packed)))
        await self._socket.send_bytes(header + packed)

    async def listen(self):
        answer = msgpack.unpackb((await self._socket.receive_bytes(timeout=PATIENCE))[12:])
        if answer["id"].startswith("publish:trame.state"):
            self.heard.update(answer["result"])
        return answer

    async def set(self, key, value):
        return await self.call("trame.state.update", [{"key": key, "value": value}])


@contextlib.asynccontextmanager
async def talk(address, secret):
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        (await session.get(address)).raise_for_status()
        async with session.ws_connect(address.partition("?")[0] + "socket", compress=15) as socket:
            talk = Talk(socket)
            talk.error = await talk.call("wslink.hello", {"secret": secret}, system=True)
            yield talk


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address of a live simulation in the app, its secret, and how to end it and hear what it had to say."""
    complaints = tmp_path_factory.mktemp("app") / "stderr"
    settings = [f"--set={key}={value}" for key, value in SMALL.items()]
    with complaints.open("w") as target:
        command = [sys.executable, "-m", "gpusim", "view", "--live", "cold-to-hot", *settings]
        server = subprocess.Popen(
            [*command, "--backend=numpy", "--steps=1", "--no-browser"], stdout=subprocess.PIPE, stderr=target, text=True
        )
        try:
            address = re.match(r"http://127.0.0.1:\d+/\?secret=(\S+)", server.stdout.readline())
            assert address, complaints.read_text()
            yield address[0], address[1]
        finally:
            server.terminate()
            server.wait()
            server.stdout.close()
    assert complaints.read_text() == ""


def test_a_foreign_page_reaches_no_file_no_folder_and_no_socket(served):
    address, secret = served
    base = address.partition("?")[0]
    port = re.search(r":(\d+)/", base)[1]
    own = {"Cookie": f"gpusim-{port}={secret}"}

    async def ask():
        status = {}
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            for path in ("", "index.html", "assets/", "vue.global.js", "paraview/", "socket", "ws"):
                for who, headers in {
                    "nobody": {},
                    "foreign": own | {"Origin": "https://foreign.example"},
                    "rebound": own | {"Host": "rebound.example", "Origin": "http://rebound.example"},
                }.items():
                    send = session.post if path == "paraview/" else session.get
                    status[path, who] = (await send(base + path, headers=headers, allow_redirects=False)).status
            for headers in ({}, own | {"Origin": "https://foreign.example"}, own | {"Host": "rebound.example"}):
                with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                    await session.ws_connect(base + "socket", headers=headers)
            page = await session.get(base + "index.html", headers=own)
            folders = [(await session.get(base + path, headers=own)).status for path in ("assets/", "assets", "ws")]
            return set(status.values()), page.status, page.headers["X-Frame-Options"], folders

    refused, page, frames, folders = asyncio.run(ask())
    assert refused == {403}
    assert (page, frames) == (200, "DENY")
    assert set(folders) <= {403, 404}


def test_the_socket_too_asks_for_the_secret(served):
    address, _ = served

    async def ask():
        for secret in ("wslink-secret", "", 5, None):
            async with talk(address, secret) as page:
                assert page.error
                assert await page.call("trame.state.get")
                assert await page.set("cut", "none")

    asyncio.run(ask())


REFUSED = [
    ("index", 1), ("index", -1), ("index", "0"), ("index", None), ("index", True),
    ("field", "nonsense"), ("field", 3), ("site", "elsewhere"), ("theme", "pink"),
    ("layers", "field"), ("layers", ["nonsense"]), ("layers", ["field"] * 100),
    ("opacity", 0), ("opacity", float("nan")), ("opacity", float("inf")), ("opacity", "1"), ("opacity", [1]),
    ("cut", True), ("cut", "yes"), ("cut", "yx"), ("faces", "voxels"), ("cut_z", 0), ("curve_names", ["x"]),
    ("curve_names", "cells"), ("curve_names", ["cells"] * 1000), ("cut_x", 0), ("cut_y", 99),
    ("playing", "yes"), ("playing", 1), ("main_drawer", "x"),
    ("dose_x", -1), ("dose_y", 1e9), ("dose", "1" * 1000), ("dose", 5), ("dose_radius", {}), ("dose_field", "nonsense"),
    ("title", "x"), ("curves", "x"), ("message", "x"), ("last", 7), ("trame__scripts", ["http://foreign.example/x.js"]),
    ("nonsense", 1), ("", 1), (7, 1),
]  # fmt: skip
CALLS = [
    ("application.exit",), ("application.exit.later", 0), ("trame.error.client", "\x1b[31m"), ("nonsense",),
    ("trame.force.push", "x"), ("trame.lifecycle.update", "server_ready"), ("trame.lifecycle.update", 5),
    ("trame.trigger", "nonsense", [], {}), ("trame.trigger", "trigger__1", ["x"], {}), ("trame.trigger", 7),
    ("trame.state.update", "x"), ("trame.state.update", [{"key": "cut"}]), ("trame.state.update", [{"x": 1}]),
    ("trame.state.update",), ("viewport.camera.reset", "1"), ("viewport.geometry.array.get", "x", 0),
    ("viewport.image.push.original.size", "VIEW", 10**9, 10**9), ("viewport.image.push.original.size", "VIEW", 0, 9),
    ("viewport.image.push.quality", "VIEW", 1e3, 1), ("viewport.image.push.quality", "VIEW", 5, float("nan")),
    ("viewport.image.push.observer.add", "99"), ("viewport.image.push", {"view": "VIEW", "size": [1]}),
    ("viewport.image.push", {"view": "99", "size": [9, 9]}), ("viewport.mouse.interaction", {"view": "VIEW"}),
    ("viewport.mouse.zoom.wheel", {"view": "VIEW", "type": "MouseWheel", "spinY": float("inf")}),
]  # fmt: skip


def test_what_has_no_meaning_is_refused_and_changes_nothing(served):
    address, secret = served

    async def ask():
        async with talk(address, secret) as page:
            assert page.error is None
            for key, value in REFUSED:
                assert await page.set(key, value), (key, value)
            for method, *arguments in CALLS:
                said = [each.replace("VIEW", "1") if isinstance(each, str) else each for each in arguments]
                said = [
                    {**each, "view": "1"} if isinstance(each, dict) and "VIEW" in each.values() else each
                    for each in said
                ]
                assert await page.call(method, *said), (method, arguments)
            assert page.heard == {}
            # Good values beside a bad one go with it.
            assert await page.call("trame.state.update", [{"key": "cut", "value": "none"}, {"key": "x", "value": 1}])
            assert page.heard == {}
            assert await page.set("opacity", 2) is None
            assert await page.set("layers", ["field", "box"]) is None

    asyncio.run(ask())


@pytest.mark.parametrize(
    "junk", [b"", b"\0" * 12, b"\1\0\0\0\0\0\0\0\xff\xff\xff\xff", b"\1\0\0\0\0\0\0\0\1\0\0\0\xc1", "text"]
)
def test_what_is_no_message_cuts_the_sender_off(served, junk):
    address, secret = served

    async def ask():
        async with talk(address, secret) as page:
            send = page._socket.send_str if isinstance(junk, str) else page._socket.send_bytes
            await send(junk)
            return (await page._socket.receive(timeout=PATIENCE)).type

    assert asyncio.run(ask()) in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


def test_messages_that_are_no_calls_get_an_error(served):
    address, secret = served

    async def ask():
        async with talk(address, secret) as page:
            for message in (
                7,
                [],
                {},
                {"id": "rpc:c0:1"},
                {"wslink": "1.0", "id": 5, "method": 5, "args": 5, "kwargs": 5},
            ):
                await page.send(message)
                assert "error" in await page.listen()

    asyncio.run(ask())


def test_a_page_closed_in_mid_play_is_no_trouble_to_another(served):
    """The fixture sees that nothing is complained about."""
    address, secret = served

    async def ask():
        async with talk(address, secret) as other:
            async with talk(address, secret) as page:
                assert await page.set("playing", True) is None
                page._socket._response.connection.transport.abort()
            while other.heard.get("playing", True):
                await other.listen()
            return other.heard

    assert asyncio.run(ask())["message"] == "the scenario's end is reached"


def test_what_is_sent_to_a_page_that_has_gone_still_reaches_the_next():
    from wslink.websocket import ServerProtocol

    from gpusim.viz.link import Link

    class Socket:
        def __init__(self, gone):
            self.gone, self.got = gone, []

        async def send_bytes(self, data):
            if self.gone:
                raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")
            self.got.append(data)

    async def send():
        link = Link(ServerProtocol(), None, Access("localhost"), "1", {}, {})
        link.connections.update(gone=Socket(True), here=Socket(False))
        link.authentified_client_ids.update(link.connections)
        await link.sendWrappedMessage("publish:trame.state.topic:1", {"cut": True})
        await link.sendWrappedError("rpc:c0:1", 1, "refused", client_id="gone")
        return link.connections["here"].got

    assert len(asyncio.run(send())) == 1


def test_quick_clicks_on_play_step_once_at_a_time_to_the_end_and_no_further():
    from gpusim.viz.app import App
    from gpusim.viz.sources import FromSimulation

    with gpusim.Simulation(gpusim.Scenario.load("cold-to-hot", SMALL), "numpy") as simulation:

        async def click():
            app = App([FromSimulation(simulation)], steps=2)
            for _ in range(3):
                for playing in (True, False, True):
                    with app.state:
                        app.state.playing = playing
                await asyncio.sleep(0)
            players = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            await asyncio.wait(players, timeout=PATIENCE)
            return app, len(players)

        app, players = asyncio.run(click())
        assert players == 1
        assert simulation.steps == simulation.model.until
        assert not app.state.playing
        assert app.state.message == "the scenario's end is reached"


def test_a_scenario_without_fields_is_looked_at_and_has_nothing_to_inject(tmp_path):
    from gpusim.record import Recorder
    from gpusim.viz.app import App
    from gpusim.viz.sources import FromResult, FromSimulation

    text = "grid: {shape: [6, 6, 6]}\nstates: {tumour: {}}\ntissue: {shapes: {s: {kind: everywhere, state: tumour}}}"
    with gpusim.Simulation(gpusim.Scenario.parse(text), "numpy") as simulation:
        live = App([FromSimulation(simulation)])
        with Recorder(simulation, tmp_path / "out") as recorder:
            recorder.finish()
    for shown in (live, App([FromResult(tmp_path / "out")])):
        assert shown.state.writing
        assert shown.state.dose_fields == []
        assert "dose_field" not in shown._settable()
        assert shown.controller.trigger_name(shown.inject) not in shown._acts()
