"""Room of the package nginx-websocket in Node, with Node's WebSocket and with npm's ws,
against a real nginx."""

import functools
import json
import os
import signal
import subprocess
import threading

import pytest

from loopback_ports import free_ports
from nginx_server import ROOT, seconds
from raw_client import deadline_scale
from room_client import join, read_type, send_text

PACKAGE = os.path.join(ROOT, "src", "client", "package", "index.js")
NODE_PROGRAM = os.path.join(os.path.dirname(__file__), "client_node.mjs")
WS = ["/usr/share/nodejs/ws/wrapper.mjs",
      os.path.join(ROOT, "build/bench/ws/node_modules/ws/wrapper.mjs")]

LOCATIONS = """
location /nowhere { return 404; }
location /room { websocket room room$arg_k history=100; }
location /watch { websocket room room$arg_k history=100 publish=off; }
"""


@functools.cache
def native():
    """The options that give Node a WebSocket, or None."""
    for flags in [], ["--experimental-websocket"]:
        output = subprocess.run(
            ["node", *flags, "-p", "typeof WebSocket"], text=True,
            capture_output=True, check=False)
        if output.stdout.strip() == "function":
            return flags
    return None


class Node:
    """A Node process that runs one script."""

    def __init__(self, websocket, script):
        flags, module = websocket
        self.process = subprocess.Popen(
            ["node", "--no-warnings", *flags, NODE_PROGRAM, PACKAGE,
             module, script],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        self.deadline = threading.Timer(seconds(60), self.process.kill)
        self.deadline.start()

    def send_line(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def read(self):
        """The next object that the script reports."""
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        return json.loads(line)

    def end(self):
        """All objects until the process ends."""
        output, errors = self.process.communicate()
        assert self.process.returncode == 0, errors
        assert errors == ""
        return [json.loads(line) for line in output.splitlines()]


@pytest.fixture(name="run_script", params=["ws", "native"])
def run_script_fixture(request):
    """Starts a script in Node."""
    if request.param == "ws":
        found = [path for path in WS if os.path.exists(path)]
        assert found, "npm's ws is not installed"
        websocket = [], found[0]
    else:
        flags = native()
        if flags is None:
            pytest.skip("this Node has no WebSocket")
        websocket = flags, "native"
    started = []

    def run_script(script):
        started.append(Node(websocket, script))
        return started[-1]

    yield run_script
    for node in started:
        node.deadline.cancel()
        node.process.kill()
        node.process.communicate()


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
