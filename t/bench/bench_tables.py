"""Creates tables from the results of bench.py: (title, head, rows, notes)."""

from measuring import median
from tables import kilobytes, ratio, size_name, thousands

SATURATED = 0.9  # of a core
OURS = "ours"
ORDER = ("raw echo", "raw, whole", "ours", "ours, 1 worker", "ours, 2 workers",
         "ours, keep", "ours, release", "nginx + ws", "ws",
         "ours, room", "ours, rooms", "nchan", "nchan, 1 worker",
         "nchan, 2 workers")


def cells_of(found, section):
    """[(cell, {server: entry})], in the order of the measurements."""
    cells = []
    for entry in found["results"]:
        if entry["section"] != section:
            continue
        if not cells or cells[-1][0] != entry["cell"]:
            cells.append((entry["cell"], {}))
        cells[-1][1][entry["server"]] = entry
    return cells


def servers_of(cells):
    """All measured servers, in the usual order."""
    names = {name for _, entries in cells for name in entries}
    return sorted(names, key=ORDER.index)


def result(entry, *keys):
    """The median of an entry's runs, or None after a wrong reply."""
    runs = entry.get("runs") if entry else None
    return median(runs, *keys) if runs else None


def cpu_share(entry):
    """The share of its core that a server used, or None if it is not known."""
    seconds = result(entry, "seconds")
    return result(entry, "server_cpu") / seconds if seconds else None


def is_ours(name):
    return name.startswith(OURS)


def best_peer(entries, key):
    """The highest result, without those of this project and of raw echoes."""
    return max((result(entry, key) or 0 for name, entry in entries.items()
                if not is_ours(name) and not name.startswith("raw")),
               default=0)


def own_result(entries, key):
    """The module's result with one worker."""
    names = ("ours", "ours, 1 worker", "ours, room")
    return result(next((entries[name] for name in names if name in entries),
                       None), key)


def base_of(entries, key):
    """The base of ratios: the raw echo, or else the module."""
    return result(entries.get("raw echo"), key) or own_result(entries, key)


def per_cpu_table(title, labels, cells, note):
    """Results for a second of the server's CPU time, with their ratios."""
    key = "per_cpu_second"
    servers = servers_of(cells)
    rows = []
    for cell, entries in cells:
        row = labels(cell)
        for name in servers:
            value = result(entries.get(name), key)
            row.append("wrong" if value is None and name in entries else
                       "-" if value is None else
                       f"{thousands(value)} "
                       f"({ratio(value, base_of(entries, key))})")
        row.append(ratio(own_result(entries, key), best_peer(entries, key)))
        rows.append(row)
    return [f"{title}, per second of the server's CPU", servers, rows,
            [note, "The last column: ours to the best peer."]]


def per_second_table(title, labels, cells):
    """Results for a second of time, and the use of the server's core."""
    servers = servers_of(cells)
    rows, idle, all_of_them = [], 0, 0
    for cell, entries in cells:
        row = labels(cell)
        for name in servers:
            value = result(entries.get(name), "per_second")
            if value is None:
                row.append("-")
                continue
            share = cpu_share(entries[name])
            all_of_them += 1
            idle += share < SATURATED
            row.append(f"{thousands(value)} [{share:.2f}]")
        rows.append(row)
    note = (f"The server was not the bottleneck in {idle} of {all_of_them}: "
            "there compare per second of CPU alone." if idle else
            "The server was the bottleneck everywhere.")
    return [f"{title}, per second", servers, rows,
            ["In brackets: the CPU seconds of the server in a second.", note]]


def with_head(table, head, last=()):
    """Puts the names of the first columns before those of the servers."""
    title, servers, rows, notes = table
    return title, [*head, *servers, *last], rows, notes


def pair_of_tables(title, head, labels, cells, note):
    """One table for a second of CPU time, and one for a second."""
    return [
        with_head(per_cpu_table(title, labels, cells, note), head,
                  ["ours : peer"]),
        with_head(per_second_table(title, labels, cells), head),
    ]


def latency_table(title, cells):
    """Latencies of one polling client with one message in flight."""
    servers = servers_of(cells)
    rows = [[size_name(cell["size"])]
            + [" / ".join(f"{result(entries.get(name), 'latency_us', at):.0f}"
                          for at in ("p50", "p99", "p99.9"))
               if result(entries.get(name), "seconds") else "-"
               for name in servers]
            for cell, entries in cells
            if cell["connections"] == cell["depth"] == 1]
    return (f"{title}, one client, one in flight: us, p50 / p99 / p99.9",
            ["payload", *servers], rows, [])


def echo_tables(found):
    tables = []
    for tls in (False, True):
        cells = [one for one in cells_of(found, "echo")
                 if one[0]["tls"] == tls]
        if not cells:
            continue
        title = "Echo inside TLS" if tls else "Echo"
        tables += pair_of_tables(
            title, ["payload", "clients", "in flight"],
            lambda cell: [size_name(cell["size"]), cell["connections"],
                          cell["depth"]], cells,
            "In parentheses: the ratio to ours." if tls else
            "In parentheses: the ratio to the raw echo.")
        latency = latency_table(title, cells)
        tables += [latency] if latency[2] else []
    return tables


def fan_out_tables(found):
    return pair_of_tables(
        "Fan-out of 64 bytes: deliveries", ["clients", "outstanding"],
        lambda cell: [f"{cell['clients']:,}", cell["depth"]],
        cells_of(found, "fan-out"),
        "In parentheses: the ratio to ours with one worker. Two workers run "
        "on both cores, with the generator beside them.")


def rooms_tables(found):
    return pair_of_tables(
        "A room of clients that are in 50 rooms each: deliveries of 64 bytes",
        ["clients", "outstanding"],
        lambda cell: [f"{cell['clients']:,}", cell["depth"]],
        cells_of(found, "rooms"),
        "In parentheses: the ratio to `room`, whose clients are in that room "
        "alone. nchan sends no objects.")


def http_version(cell):
    return "HTTP/2" if cell["http2"] else "HTTP/1.1"


def events_tables(found):
    return pair_of_tables(
        "Event streams: deliveries of 64 bytes", ["", "clients", "outstanding"],
        lambda cell: [http_version(cell), f"{cell['clients']:,}",
                      cell["depth"]],
        cells_of(found, "events"),
        "In parentheses: the ratio to ours.") + memory_tables(
            "Memory of an idle event stream (PSS of the server's processes)",
            cells_of(found, "events-idle"), http_version)


def handshake_tables(found):
    return pair_of_tables(
        "Handshakes", [""], lambda cell: ["TLS" if cell["tls"] else "plain"],
        cells_of(found, "handshakes"),
        "In parentheses: the ratio to ours. TLS: full handshakes, no session "
        "is resumed.")


def deflate_tables(found):
    return pair_of_tables(
        "Deflate, 100 clients, one in flight: echoes",
        ["payload", "context takeover"],
        lambda cell: [size_name(cell["size"]),
                      "yes" if cell["takeover"] else "no"],
        cells_of(found, "deflate"),
        "In parentheses: the ratio to ours. Level 1 on both sides.")


def memory_tables(title, cells, head_of):
    """A table with one row for each server."""
    rows = []
    for name in servers_of(cells):
        row = [name]
        for _, entries in cells:
            value = result(entries.get(name), "memory_per_client")
            least = result(entries.get("ours, keep"), "memory_per_client")
            row.append("-" if value is None else
                       f"{kilobytes(value)} ({ratio(value, least)})")
        clients = result(cells[0][1].get(name), "connections")
        rows.append(row + [f"{clients:,}" if clients else "-"])
    heads = [head_of(cell) for cell, _ in cells]
    return [(title, ["server", *heads, "clients"], rows,
             ["In parentheses: the ratio to ours with the request kept."])]


def idle_tables(found):
    return memory_tables(
        "Memory of an idle client (PSS of the server's processes)",
        cells_of(found, "idle"),
        lambda cell: "TLS" if cell["tls"] else "plain")


TABLES = {"echo": echo_tables, "fan-out": fan_out_tables,
          "rooms": rooms_tables, "events": events_tables,
          "handshakes": handshake_tables, "idle": idle_tables,
          "deflate": deflate_tables}


def tables_of(found, section):
    """All tables of a section that was measured."""
    return TABLES[section](found) if cells_of(found, section) else []
