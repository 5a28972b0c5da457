"""Event streams of the package nginx-websocket in Node against a real nginx:
names, payloads, presence, refusals, and the change to a WebSocket."""

import json

import pytest

from node_process import Node, npm_ws
from publish_client import BINARY, Publisher
from room_client import join, read_type
from token_issuer import TokenIssuer

LOCATIONS = """
websocket_event_stream on;
location /room { websocket room r$arg_k history=100 presence=on;
                 websocket_user $arg_u; }
location /mute { websocket room mute publish=off; }
location /rooms { websocket rooms; websocket_rooms mute* publish=off;
                  websocket_rooms * history=100 presence=on; }
location /token { websocket_jwt subprotocol KEY; websocket room token; }
location /off { websocket_event_stream off; websocket room off; }
location /nowhere { return 404; }
location /publish { websocket_publish room $websocket_arg_k; }
location /direct { websocket_publish room "" client=$arg_client; }
"""
# Payloads that an event cannot have as they are, or could be taken for fields.
PAYLOADS = ["", " ", "\n", "a\nb", "a\r\nb\rc\n", "data: x\n\nevent: y", ":",
            "\ufeff", "ä€😀", "\u2028", "\0", "x" * 100_000]


@pytest.fixture(name="server", scope="module")
def server_fixture(module_nginx, tmp_path_factory):
    issuer = TokenIssuer(tmp_path_factory.mktemp("keys"))
    server = module_nginx(LOCATIONS.replace("KEY", issuer.key_file()),
                          workers=2)
    server.issuer = issuer
    return server


@pytest.fixture(name="run_script")
def run_script_fixture(server):
    """Runs a script with `options` and `at(path)`."""
    started = []

    def run_script(script, transport="event-stream"):
        started.append(Node("client_node.mjs", npm_ws(), f"""
            const options = {{ transport: "{transport}", first_delay: 20 }};
            const at = (path) => "ws://127.0.0.1:{server.port}" + path;
            const next = (target, name) => new Promise((resolve) =>
                target.addEventListener(name, ({{ detail }}) =>
                    resolve(detail), {{ once: true }}));
            {script}"""))
        return started[-1]

    yield run_script
    for node in started:
        node.kill()


def test_payloads_arrive_as_they_were(server, run_script):
    node = run_script("""
        const room = new Room(at("/room?k=p"), options);
        room.addEventListener("caught_up", () => report("open"));
        for await (const { data, own } of room) {
            report([typeof data === "string" ? data : [...data], own]);
            if (data === "last") {
                break;
            }
        }
        room.close();
        """)
    assert node.read() == "open"
    publisher = Publisher(server, "/publish?k=rp")
    for text in PAYLOADS:
        publisher.post(text)
    publisher.post(b"\0\xff\n", kind=BINARY)
    publisher.post("last")
    assert node.end() == [*([text, False] for text in PAYLOADS),
                          [[0, 255, 10], False], ["last", False]]


def test_own_payloads_are_own(run_script):
    node = run_script(f"""
        const room = new Room(at("/room?k=own&u=42"), options);
        const texts = {json.dumps(PAYLOADS)};
        const ids = [];
        texts.forEach((text) => room.publish(text).then((id) => ids.push(id)));
        const got = [];
        for await (const {{ id, data, own, user }} of room) {{
            got.push([id, data, own, user]);
            if (got.length === texts.length) {{
                break;
            }}
        }}
        report([ids, got]);
        room.close();
        """)
    [[ids, got]] = node.end()
    assert [data for _, data, *_ in got] == PAYLOADS
    assert [name for name, *_ in got] == ids
    assert all(own and user == "42" for *_, own, user in got)


def test_presence_and_direct_messages(server, run_script):
    node = run_script("""
        const room = new Room(at("/room?k=who"), options);
        const { client, clients } = await next(room, "welcome");
        report([client, clients]);
        const { type, user } = await next(room, "presence");
        report([type, user, room.clients]);
        report((await next(room, "direct")).data);
        room.close();
        """)
    client, clients = node.read()
    assert clients == 1
    other = join(server, "/room?k=who&u=anna")
    assert node.read() == ["joined", "anna", 2]
    Publisher(server, f"/direct?client={client}").ask("POST", body="psst")
    assert node.end() == ["psst"]
    assert read_type(other, "left")["client"] == client


@pytest.mark.parametrize("names", [["a,b", "c=d"], ["ä ?&#+%"], ["%2C"],
                                   ['"', "\\"], ["a" * 500]])
def test_rooms_of_any_name(run_script, names):
    node = run_script(f"""
        const rooms = new Rooms(at("/rooms"), options);
        const names = {json.dumps(names)};
        const all = await Promise.all(names.map((name) =>
            rooms.subscribe(name, {{ history: 10 }})));
        for (const room of all) {{
            const message = next(room, "message");
            const id = await room.publish("in " + room.name);
            const {{ data, own, id: got }} = await message;
            report([data, own, got === id]);
        }}
        rooms.close();
        """)
    assert node.end() == [[f"in {name}", True, True] for name in names]


def test_rooms_without_a_room_are_suspended(run_script):
    node = run_script("""
        const rooms = new Rooms(at("/rooms"), options);
        await next(rooms, "state");
        report(rooms.state);
        const a = await rooms.subscribe("later", { history: 10 });
        await a.publish("one");
        a.unsubscribe();
        while (rooms.state !== "suspended") {
            await next(rooms, "state");
        }
        const again = await rooms.subscribe("later", { history: 10 });
        report((await next(again, "message")).data);
        rooms.close();
        """)
    assert node.end() == ["suspended", "one"]


def test_refusals_of_rooms_and_publications(run_script):
    node = run_script("""
        const room = new Room(at("/mute"), options);
        report(await settled(room.publish("x")));
        room.close();
        const rooms = new Rooms(at("/rooms"), options);
        const names = ["mute", ...Array.from({ length: 130 },
                                             (_, i) => `room ${i}`)];
        const results = names.map((name) => settled(rooms.subscribe(name)));
        await next(rooms, "refused");
        report((await Promise.all(results)).filter((each) =>
            each.startsWith("not")).length);
        report(await settled(rooms.publish("mute", "x")));
        rooms.close();
        """)
    mute, refused, in_rooms = node.end()
    assert mute == in_rooms == "not: status 403"
    assert refused == 3


def test_token_is_sent_with_each_request(server, run_script):
    token = server.issuer.token(sub="42")
    node = run_script(f"""
        const room = new Room(at("/token"), {{ ...options,
            token: async () => "{token}" }});
        const message = next(room, "message");
        await room.publish("x");
        report((await message).user);
        room.close();
        const other = new Room(at("/token"), options);
        report((await next(other, "state")).reason);
        other.close();
        """)
    assert node.end() == ["42", "no stream: status 401"]


def test_location_without_streams_is_still_reached_by_websocket(run_script):
    """Two WebSockets fail, then a stream, then a WebSocket opens."""
    node = run_script("""
        let failing = 2;
        const Failing = class extends EventTarget {
            constructor() {
                super();
                setTimeout(() => this.dispatchEvent(Object.assign(
                    new Event("close"), { code: 1006, reason: "" })));
            }

            close() {}
        };
        const kinds = [];
        const room = new Room(at("/off"), { ...options, WebSocket: function (
            ...args) {
            kinds.push("websocket");
            return failing-- > 0 ? new Failing() : new WebSocket(...args);
        }, fetch: (...args) => {
            kinds.push("event-stream");
            return fetch(...args);
        } });
        await next(room, "welcome");
        report(kinds);
        report(room.transport);
        room.close();
        """, "auto")
    assert node.end() == [["websocket", "websocket", "event-stream",
                           "websocket"], "websocket"]


def test_websocket_replaces_the_stream_without_loss(server, run_script):
    node = run_script("""
        let failing = 2;
        const room = new Room(at("/room?k=back"), { ...options,
            retry_websocket: 50, WebSocket: function (...args) {
                return failing-- > 0 ? new WebSocket(at("/nowhere"))
                    : new WebSocket(...args);
            } });
        await next(room, "welcome");
        report(room.transport);
        await Promise.all([1, 2, 3].map((text) => room.publish(`${text}`)));
        while (room.transport !== "websocket") {
            await next(room, "welcome");
        }
        await room.publish("4");
        report(room.last.split("-")[1]);
        room.close();
        """, "auto")
    assert node.end() == ["event-stream", "4"]
    history = join(server, "/room?k=back&since=0")
    assert [read_type(history, "message")["data"] for _ in range(4)] == list(
        "1234")
