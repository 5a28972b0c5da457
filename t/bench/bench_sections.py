"""The measurements by section: their cases, and the servers of each."""

import bench_servers
import other_servers
from measuring import ALL_CORES, pin

KIB = 1024
MIB = KIB * KIB
FAN_OUT_SIZE = 64
IDLE_CLIENTS = 10000
STREAMS = 100  # of a connection of HTTP/2

# (payload, connections, messages in flight)
SHORT_ECHO = [(20, 1, 1), (20, 100, 1), (20, 100, 16), (512, 100, 1),
              (512, 100, 16), (16 * KIB, 100, 1), (16 * KIB, 100, 16),
              (MIB, 10, 1)]
SHORT_TLS = [(20, 100, 1), (20, 100, 16), (16 * KIB, 100, 1), (MIB, 10, 1)]
FULL_ECHO = [(size, connections, depth)
             for size, many in ((20, 100), (512, 100), (16 * KIB, 100),
                                (MIB, 10))
             for connections in (1, many) for depth in (1, 16)]


def peer_starts(bench, tls):
    """The server ws, alone and behind nginx, if it is available."""
    if not bench.ws_folder:
        return {}
    return {
        "nginx + ws": lambda: bench_servers.Proxy(
            other_servers.start_ws(bench.ws_folder), tls),
        "ws": lambda: other_servers.start_ws(bench.ws_folder),
    }


def raw_options(name):
    """The options of the generator for this server."""
    return ["--raw"] if name.startswith("raw") else []


def takes_part(name, size, tls):
    """A raw echo has no TLS. A short frame arrives whole in any case."""
    return not name.startswith("raw") or \
        not tls and (name != "raw, whole" or size >= 16 * KIB)


def measure_echo(bench):
    """Each message comes back."""
    starts = {"ours": lambda: bench_servers.start_own(1, tls=True),
              "raw echo": other_servers.start_raw,
              "raw, whole": lambda: other_servers.start_raw("whole")}
    short = bench.options.short
    with bench.servers(**starts, **peer_starts(bench, True)) as running:
        bench.warm_up(running, "echo", lambda name: [
            "--path=/echo", "--text", "--messages=40000", "--in-flight=16",
            *raw_options(name)])
        for tls, cases in ((False, SHORT_ECHO if short else FULL_ECHO),
                           (True, SHORT_TLS if short else FULL_ECHO)):
            for size, connections, depth in cases:
                arguments = [f"--size={size}", f"--in-flight={depth}",
                             f"--connections={connections}", "--text",
                             "--path=/echo"]
                # A single client that sleeps would measure wake-ups
                arguments += ["--spin"] if connections == 1 else []
                bench.alternate(
                    "echo", {"size": size, "connections": connections,
                             "depth": depth, "tls": tls},
                    {name: bench.load("echo", server, *arguments,
                                      *raw_options(name), tls=tls)
                     for name, server in running.items()
                     if takes_part(name, size, tls)})


def fan_out_starts(bench):
    """{(name, workers): function}"""
    starts = {f"ours, {workers} worker{'s' * (workers > 1)}":
              lambda workers=workers: bench_servers.start_own(workers)
              for workers in (1, 2)}
    if bench.nchan_module:
        starts.update({
            f"nchan, {workers} worker{'s' * (workers > 1)}":
            lambda workers=workers: bench_servers.start_nchan(
                bench.nchan_module, workers) for workers in (1, 2)})
    if bench.ws_folder:
        starts["ws"] = lambda: other_servers.start_ws(bench.ws_folder)
    return starts


def fan_out_paths(name):
    """The paths to which clients subscribe and publish."""
    if name.startswith("nchan"):
        return ["--path=/subscribe", "--publish-path=/publish"]
    return ["--path=/room" if name == "ws" else "--path=/lobby"]


def measure_fan_out(bench):
    """Each message is sent to all clients. Two workers run on both cores."""
    with bench.servers(**fan_out_starts(bench)) as running:
        for name, server in running.items():
            if "2 workers" in name:
                pin(server.worker_pids(), ALL_CORES)
        bench.warm_up(running, "fan-out", lambda name: [
            *fan_out_paths(name), "--messages=400", "--in-flight=16"])
        for clients in (1000, 10000):
            for depth in (1, 16):
                bench.alternate(
                    "fan-out", {"clients": clients, "depth": depth},
                    {name: bench.load(
                        "fan-out", server, *fan_out_paths(name),
                        f"--connections={clients}", f"--in-flight={depth}",
                        f"--size={FAN_OUT_SIZE}", "--text",
                        cores=ALL_CORES if "2 workers" in name else None)
                     for name, server in running.items()})


def rooms_variants(bench, running):
    """{name: options of the generator}"""
    objects = ["--publish-path=/room-0", "--objects"]
    variants = {
        "ours, room": ["--path=/room-0", "--subprotocol=room.v1.json",
                       *objects],
        "ours, rooms": ["--path=/rooms", "--subprotocol=rooms.v1.json",
                        f"--rooms={bench_servers.NCHAN_ROOMS}", *objects],
        "nchan": ["--path=/subscribe-many", "--publish-path=/publish-one"],
    }
    return {name: (running[name.split(",")[0]], options)
            for name, options in variants.items()
            if name.split(",")[0] in running}


def measure_rooms(bench):
    """Messages to one of the rooms that each client is in. `room`: the same
    objects to clients that are in no other."""
    starts = {"ours": lambda: bench_servers.start_own(1)}
    if bench.nchan_module:
        starts["nchan"] = lambda: bench_servers.start_nchan(
            bench.nchan_module)
    with bench.servers(**starts) as running:
        for depth in (1, 16):
            bench.alternate(
                "rooms", {"clients": 1000, "depth": depth},
                {name: bench.load(
                    "fan-out", server, *options, "--connections=1000",
                    f"--in-flight={depth}", f"--size={FAN_OUT_SIZE}",
                    "--text")
                 for name, (server, options) in rooms_variants(
                     bench, running).items()})


def stream_options(http2):
    """Clients that read event streams. nginx allows 128 on a connection."""
    return ["--path=/events", f"--streams={STREAMS}" if http2
            else "--event-stream"]


def measure_events(bench):
    """Deliveries to event streams, and the memory of idle ones."""
    starts = {"ours": lambda: bench_servers.start_own(1, http2=True)}
    if bench.nchan_module:
        starts["nchan"] = lambda: bench_servers.start_nchan(
            bench.nchan_module, http2=True)
    publish_paths = {"ours": "/events", "nchan": "/publish-event"}
    with bench.servers(**starts) as running:
        for http2 in (False, True):
            for depth in (1, 16):
                bench.alternate(
                    "events", {"clients": 1000, "depth": depth,
                               "http2": http2},
                    {name: bench.load(
                        "fan-out", server, *stream_options(http2),
                        f"--publish-path={publish_paths[name]}",
                        f"--publish-port={server.port}", "--text",
                        "--connections=1000", f"--in-flight={depth}",
                        f"--size={FAN_OUT_SIZE}", http2=http2)
                     for name, server in running.items()})
    for http2 in (False, True):
        measure_memory(bench, "events-idle", {"http2": http2},
                       idle_nginx_starts(bench, http2=True),
                       lambda _: stream_options(http2), http2=http2)


def measure_handshakes(bench):
    """Clients connect, upgrade and disconnect."""
    starts = {"ours": lambda: bench_servers.start_own(1, tls=True)}
    with bench.servers(**starts, **peer_starts(bench, True)) as running:
        bench.warm_up(running, "handshake", lambda _: [
            "--path=/echo", "--messages=2000"])
        for tls in (False, True):
            bench.alternate(
                "handshakes", {"tls": tls},
                {name: bench.load("handshake", server, "--path=/echo",
                                  "--connections=50", tls=tls)
                 for name, server in running.items()})


def idle_nginx_starts(bench, **ports):
    """New servers, which had no client yet."""
    starts = {"ours, keep": lambda: bench_servers.start_own(1, **ports)}
    if bench.knows_release:
        starts["ours, release"] = lambda: bench_servers.start_own_release(
            **ports)
    if bench.nchan_module:
        starts["nchan"] = lambda: bench_servers.start_nchan(
            bench.nchan_module, **ports)
    return starts


def idle_starts(bench):
    return {**idle_nginx_starts(bench, tls=True), **peer_starts(bench, True)}


def measure_memory(bench, section, cell, starts, options_of, **port):
    """The memory of an idle client. There is one run each, because memory has
    little noise. The short form has 2,000 clients."""
    wanted = 2000 if bench.options.short else IDLE_CLIENTS
    for name, start in starts.items():
        # The proxy has two sockets for each client. nginx closes idle
        # connections when fewer than a sixteenth are free
        room = bench_servers.open_files() * 9 // 10
        clients = min(wanted, room // (2 if "+" in name else 1))
        with bench.servers(**{name: start}) as running:
            for server in running.values():
                run = bench.try_peer(name, bench.load(
                    "idle", server, *options_of(name),
                    f"--connections={clients}", seconds=0.2, **port))
                if run:
                    bench.keep(section, cell, name, [run])


def measure_idle(bench):
    """Idle WebSocket clients."""
    for tls in (False, True):
        measure_memory(
            bench, "idle", {"tls": tls}, idle_starts(bench),
            lambda name: ["--path=/subscribe" if name == "nchan"
                          else "--path=/echo"], tls=tls)


def measure_deflate(bench):
    """Rows of JSON are echoed, compressed in both directions."""
    starts = {"ours": lambda: bench_servers.start_own(1)}
    if bench.ws_folder:
        starts["ws"] = lambda: other_servers.start_ws(bench.ws_folder)
    with bench.servers(**starts) as running:
        bench.warm_up(running, "echo", lambda _: [
            "--path=/deflate", "--deflate", "--text", "--messages=4000"])
        for size in (512, 16 * KIB):
            for takeover in (False, True):
                path = "/deflate-takeover" if takeover else "/deflate"
                bench.alternate(
                    "deflate", {"size": size, "takeover": takeover},
                    {name: bench.load(
                        "echo", server, f"--path={path}", "--deflate",
                        f"--size={size}", "--text", "--connections=100")
                     for name, server in running.items()})


SECTIONS = {"echo": measure_echo, "fan-out": measure_fan_out, "rooms": measure_rooms,
            "events": measure_events, "handshakes": measure_handshakes, "idle": measure_idle,
            "deflate": measure_deflate}
