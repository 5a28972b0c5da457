"""Draws the results of bench.py as bars, in SVG that is readable on light and
dark pages.

A chart has groups of bars, each with a heading. A bar has a name before it, a
length, and a text after it.
"""

import os
from xml.sax.saxutils import escape

from bench_tables import (base_of, cells_of, http_version, result,
                          servers_of)
from tables import kilobytes, ratio, size_name, thousands

WIDTH, LEFT, BAR, STEP = 760, 130, 440, 18
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 15px; font-weight: 600; }
.heading { font-weight: 600; }
.name { text-anchor: end; }
.faint { fill: #59636e; }
.ours { fill: #1f6feb; } .raw { fill: #8c959f; } .peer { fill: #d4823a; }
.line { stroke: #8c959f; stroke-dasharray: 3 3; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .faint { fill: #9198a1; }
  .ours { fill: #4493f8; } .raw { fill: #6e7681; } .peer { fill: #e09b52; }
}
"""


def kind_of(name):
    """The style of a server's bar."""
    return "ours" if name.startswith("ours") else \
        "raw" if name.startswith("raw") else "peer"


def text(x, y, label, kind=""):
    """One line of text."""
    return f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}">' \
        f"{escape(label)}</text>"


def bar(y, name, length, label):
    """A bar with its name before it and its text after it."""
    return [text(LEFT - 8, y + 12, name, "name"),
            f'<rect x="{LEFT}" y="{y}" width="{max(length, 1):.1f}" '
            f'height="{STEP - 4}" rx="2" class="{kind_of(name)}"/>',
            text(LEFT + length + 6, y + 12, label, "faint")]


def draw(title, note, groups, mark=None):
    """The chart of [(heading, [(name, value, label)])], with a line at
    `mark`."""
    longest = max(value for _, bars in groups for _, value, _ in bars)
    parts, y = [text(8, 20, title, "title"), text(8, 38, note, "faint")], 60
    for heading, bars in groups:
        parts.append(text(LEFT, y, heading, "heading"))
        y += 8
        if mark:
            x = LEFT + mark / longest * BAR
            parts.append(f'<line x1="{x:.1f}" y1="{y - 2}" x2="{x:.1f}" '
                         f'y2="{y + STEP * len(bars) - 2}" class="line"/>')
        for name, value, label in bars:
            parts += bar(y, name, value / longest * BAR, label)
            y += STEP
        y += 22
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
            f'height="{y - 10}" viewBox="0 0 {WIDTH} {y - 10}" role="img">\n'
            f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n"
            + "\n".join(parts) + "\n</svg>\n")


def rate_groups(cells, heading):
    """Bars whose length is their ratio to the base of their group."""
    key = "per_cpu_second"
    groups = []
    for cell, entries in cells:
        base = base_of(entries, key)
        bars = []
        for name in servers_of([(cell, entries)]):
            value = result(entries[name], key)
            if value:
                bars.append((name, value / base,
                             f"{ratio(value, base)}  ({thousands(value)})"))
        groups.append((heading(cell), bars))
    return groups


def many_clients(cells):
    """Leaves out cells with one client, where the server often sleeps."""
    return [one for one in cells if one[0]["connections"] > 1]


def echo_chart(found, tls):
    cells = [one for one in many_clients(cells_of(found, "echo"))
             if one[0]["tls"] == tls]
    groups = rate_groups(cells, lambda cell: (
        f"{size_name(cell['size'])}, {cell['connections']} clients, "
        f"{cell['depth']} in flight"))
    return groups and draw(
        "Echo inside TLS" if tls else "Echo",
        "Messages per second of the server's CPU; ratio to "
        + ("ours" if tls else "a raw echo of the same bytes"), groups, 1)


def deliveries_heading(cell):
    text = f"{cell['clients']:,} clients, {cell['depth']} outstanding"
    return f"{http_version(cell)}: {text}" if "http2" in cell else text


def deliveries_chart(found, section, title, base):
    groups = rate_groups(cells_of(found, section), deliveries_heading)
    return groups and draw(
        title, f"Deliveries per second of the server's CPU; ratio to {base}",
        groups, 1)


def fan_out_chart(found):
    return deliveries_chart(found, "fan-out", "Fan-out of 64 bytes",
                            "ours with one worker")


def rooms_chart(found):
    return deliveries_chart(found, "rooms", "Clients that are in 50 rooms each",
                            "clients of one room")


def events_chart(found):
    return deliveries_chart(found, "events", "Event streams of 64 bytes",
                            "ours")


def handshake_chart(found):
    groups = rate_groups(cells_of(found, "handshakes"), lambda cell: (
        "TLS, full handshakes" if cell["tls"] else "plain"))
    return groups and draw(
        "Handshakes", "Per second of the server's CPU; ratio to ours",
        groups, 1)


def deflate_chart(found):
    groups = rate_groups(cells_of(found, "deflate"), lambda cell: (
        f"{size_name(cell['size'])}, "
        f"{'with' if cell['takeover'] else 'no'} context takeover"))
    return groups and draw(
        "Deflate", "Echoes per second of the server's CPU, 100 clients; "
        "ratio to ours", groups, 1)


def idle_chart(found):
    groups = []
    for cell, entries in cells_of(found, "idle"):
        bars = [(name, value, kilobytes(value))
                for name in servers_of([(cell, entries)])
                if (value := result(entries[name], "memory_per_client"))]
        groups.append(("TLS" if cell["tls"] else "plain", bars))
    return groups and draw(
        "Memory of an idle client", "PSS of the server's processes, divided "
        "by the clients: less is better", groups)


CHARTS = {"echo": lambda found: echo_chart(found, False),
          "echo-tls": lambda found: echo_chart(found, True),
          "fan-out": fan_out_chart, "rooms": rooms_chart,
          "events": events_chart,
          "handshakes": handshake_chart,
          "idle": idle_chart, "deflate": deflate_chart}


def draw_all(found, folder):
    """Writes each chart that has results; returns their names."""
    drawn = []
    for name, make in CHARTS.items():
        svg = make(found)
        if svg:
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, f"{name}.svg"), "w",
                      encoding="utf-8") as file:
                file.write(svg)
            drawn.append(f"{name}.svg")
    return drawn
