"""Room of the package nginx-websocket in Node, with Node's WebSocket and with npm's ws,
against a real nginx."""

import os
import signal

import pytest

from loopback_ports import free_ports
from nginx_server import seconds
from node_process import Node, native, npm_ws
from raw_client import deadline_scale
from room_client import join, read_type, send_text

LOCATIONS = """
location /nowhere { return 404; }
location /room { websocket room room$arg_k history=100; }
location /watch { websocket room room$arg_k history=100 publish=off; }
"""


@pytest.fixture(name="run_script", params=["ws", "native"])
def run_script_fixture(request):
    """Starts a script in Node."""
    if request.param == "ws":
        flags, module = [], npm_ws()
    else:
        flags, module = native(), "native"
        if flags is None:
            pytest.skip("this Node has no WebSocket")
    started = []

    def run_script(script):
        started.append(Node("client_node.mjs", module, script, flags=flags))
        return started[-1]

    yield run_script
    for node in started:
        node.kill()


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS)


def url(server, path):
    return f"ws://127.0.0.1:{server.port}{path}"


@pytest.mark.parametrize("end, state", [("close", "closed"),
                                        ("suspend", "suspended")])
def test_room_left_while_it_connects_stays_closed(server, run_script, end,
                                                  state):
    """Node exits when no timer and no connection is left."""
    path = f"/room?k={end}"
    node = run_script(f"""
        const room = new Room("{url(server, path)}");
        watched(room);
        room.{end}();
        """)
    assert node.end() == [state]
    assert join(server, path).welcome["clients"] == 1


def test_room_left_when_it_is_open_stays_closed(server, run_script):
    node = run_script(f"""
        const room = new Room("{url(server, '/room?k=open')}");
        const state = watched(room);
        await state("open");
        room.suspend();
        room.resume();
        await state("open");
        room.close();
        """)
    assert node.end() == ["open", "suspended", "connecting", "open", "closed"]


# The close code of a connection that never opened. The WebSocket of Node 20
# reports 1002.
FAILED = (1006, 1002)


def test_refused_connection_is_an_attempt_that_failed(run_script):
    [port] = free_ports(1)
    node = run_script(f"""
        const room = new Room("ws://127.0.0.1:{port}/", {{ first_delay: 1 }});
        const state = watched(room);
        for (let i = 0; i < 3; i++) {{
            const {{ code, was_open }} = await state("waiting");
            report([code, was_open]);
        }}
        room.close();
        """)
    output = node.end()
    attempts = [one for one in output if isinstance(one, list)]
    assert output.count("waiting") == len(attempts) == 3
    for code, was_open in attempts:
        assert code in FAILED and not was_open
    assert output[-1] == "closed"


def test_refused_handshake_is_an_attempt_that_failed(server, run_script):
    node = run_script(f"""
        const room = new Room("{url(server, '/nowhere')}");
        const state = watched(room);
        report((await state("waiting")).code);
        room.close();
        """)
    waiting, code, closed = node.end()
    assert (waiting, closed) == ("waiting", "closed")
    assert code in FAILED


@pytest.mark.parametrize("path", ["/room?k=alive", "/watch?k=alive"])
def test_server_answers_pings(server, run_script, path):
    node = run_script(f"""
        let pongs = 0;
        const room = new Room("{url(server, path)}", {{ ping_after: 1 }});
        watched(room);
        room.addEventListener("fault", ({{ detail }}) => report(detail));
        const answered = new Promise((resolve) => {{
            const parse = JSON.parse;
            JSON.parse = (text) => {{
                const parsed = parse(text);
                if (parsed.type === "pong" && ++pongs === 5) {{
                    resolve();
                }}
                return parsed;
            }};
        }});
        await answered;
        room.close();
        """)
    assert node.end() == ["open", "closed"]


def test_dead_connection_is_found_and_its_publishes_settle(nginx, run_script):
    """The worker is stopped, so the end of the connection does not arrive."""
    server = nginx(LOCATIONS)
    [worker] = server.worker_pids()
    within = round(300 * deadline_scale())
    node = run_script(f"""
        const room = new Room("{url(server, '/room?k=dead')}", {{
            ping_after: 50, pong_within: {within}, welcome_within: {within},
            first_delay: 1, longest_delay: 50 }});
        const state = watched(room);
        const messages = new Map();
        room.addEventListener("message", ({{ detail }}) =>
            messages.set(detail.id, detail.data));
        await state("open");
        report("stop");
        await next_line();
        const answer = settled(room.publish("sent"));
        report((await state("waiting")).reason);
        const later = room.publish("later");
        report("go on");
        await state("open");
        await later;
        const settlement = await answer;
        await room.publish("last");
        report([settlement, ...messages]);
        room.close();
        """)
    assert [node.read(), node.read()] == ["open", "stop"]
    os.kill(worker, signal.SIGSTOP)
    try:
        node.send_line("stopped")
        assert [node.read(), node.read(), node.read()] == [
            "waiting", "no answer to a ping", "go on"]
    finally:
        os.kill(worker, signal.SIGCONT)
    output = node.end()
    assert output[-1] == "closed"
    settlement, *messages = output[-2]
    texts = [text for _, text in messages]
    assert texts.count("later") == 1 and texts.count("sent") <= 1
    if "sent" in texts:
        assert settlement == "as " + messages[texts.index("sent")][0]
    else:
        assert settlement == \
            "perhaps: the connection was lost before the answer"


def test_messages_are_exchanged_with_other_clients(server, run_script):
    other = join(server, "/room?k=both")
    node = run_script(f"""
        const room = new Room("{url(server, '/room?k=both')}");
        room.addEventListener("message", ({{ detail }}) => {{
            report(detail.data);
            if (!detail.own) {{
                room.close();
            }}
        }});
        room.publish("from Node");
        """)
    assert read_type(other, "message", seconds(60))["data"] == "from Node"
    assert node.read() == "from Node"
    send_text(other, "to Node")
    assert node.end() == ["to Node"]
