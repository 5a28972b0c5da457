"""Writes deflate_vectors.hpp: streams compressed by Python's zlib.

usage: deflate_vectors.py > deflate_vectors.hpp
"""

import json
import zlib

TAIL = b"\x00\x00\xff\xff"


def pieces(*parts):
    """A text as (bytes, times), so that long ones are short here."""
    return [(part, 1) if isinstance(part, bytes) else part for part in parts]


def plain(parts):
    return b"".join(part * times for part, times in parts)


TABLE = json.dumps([{"id": n, "name": f"user {n * 7919 % 101}",
                     "active": n % 3 == 0, "score": n * n / 4}
                    for n in range(4)]).encode()
ROW = TABLE[:60]
ALL_BYTES = bytes(range(0, 256, 3))
EVENTS = [pieces(b'{"event":"moved","x":%d,"y":%d}' % (n * 13, n * n))
          for n in range(4)]


def far_apart(distance):
    return pieces(ROW, (b"-", distance), ROW)


def flushed(deflater, parts, flush=zlib.Z_SYNC_FLUSH):
    data = deflater.compress(plain(parts)) + deflater.flush(flush)
    assert data.endswith(TAIL)
    return data[:-len(TAIL)]


def compressor(level=6, window=15, memory=8, strategy=0):
    return zlib.compressobj(level, zlib.DEFLATED, -window, memory, strategy)


def lone(messages, **how):
    return [(parts, flushed(compressor(**how), parts)) for parts in messages]


def chained(messages, flush=zlib.Z_SYNC_FLUSH, **how):
    deflater = compressor(**how)
    return [(parts, flushed(deflater, parts, flush)) for parts in messages]


def finished(messages):
    """Each message in one final block, followed by the byte of RFC 7692
    7.2.3.4."""
    result = []
    for parts in messages:
        deflater = compressor()
        result.append((parts, deflater.compress(plain(parts)) + deflater.flush()
                       + b"\x00"))
    return result


def streams():
    samples = [pieces(TABLE), pieces(ALL_BYTES), pieces((b"ab", 4000))]
    yield "nothing", False, lone([pieces((b"", 1))])
    yield "level 9", False, lone(samples, level=9)
    yield "stored", False, lone([pieces(ROW)], level=0)
    yield "fixed codes", False, lone(samples[:1], strategy=zlib.Z_FIXED)
    yield "huffman alone", False, lone(samples[:1],
                                       strategy=zlib.Z_HUFFMAN_ONLY)
    yield "final blocks", False, finished(samples)
    for window in range(9, 16):
        size = 1 << window
        yield f"window {window}", False, lone([far_apart(size - 400)],
                                              window=window, level=9)
        yield f"window {window}, kept", True, chained(
            [pieces(ROW), pieces((b".", size // 2)),
             pieces(ROW), pieces((b",", size)), pieces(ROW)],
            window=window, level=9)
    yield "small messages, kept", True, chained(EVENTS)
    yield "full flushes", True, chained(EVENTS, zlib.Z_FULL_FLUSH)
    yield "little memory", True, chained(samples, memory=1)


NAMES = {TABLE: "table", ROW: "row", ALL_BYTES: "bytes"}


def literal(data):
    """A C++ literal in octal, which following characters cannot extend."""
    text = "".join(chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?'
                   else f"\\{byte:03o}" for byte in data)
    lines, line = [], ""
    while text:
        token, text = ((text[:4], text[4:]) if text[0] == "\\"
                       else (text[0], text[1:]))
        if len(line) + len(token) > 70:
            lines.append(line)
            line = ""
        line += token
    lines.append(line)
    return "\n".join(f'    "{line}"' for line in lines) + "sv"


HEAD = """\
// Streams compressed by Python's zlib, each message with its text.
// Written by deflate_vectors.py; do not edit.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace deflate_vectors {

using namespace std::string_view_literals;

struct part {
    std::string_view bytes;
    std::size_t times;
};

struct message {
    std::string_view payload;
    std::vector<part> parts;

    std::string plain() const
    {
        std::string all;

        for (const part &each : parts) {
            for (std::size_t i = 0; i < each.times; i++) {
                all += each.bytes;
            }
        }

        return all;
    }
};

struct stream {
    std::string_view name;
    bool takeover;
    std::vector<message> messages;
};

// clang-format off
"""


def main():
    print(HEAD, end="")
    for data, name in NAMES.items():
        print(f"inline constexpr std::string_view {name} =\n"
              f"{literal(data)};")
    print("\ninline const std::vector<stream> streams{")
    for name, takeover, messages in streams():
        print(f'{{"{name}", {str(takeover).lower()}, {{')
        for parts, payload in messages:
            shown = ", ".join("{" + NAMES.get(data, literal(data).strip())
                              + f", {times}}}" for data, times in parts)
            print("  {\n" + literal(payload) + ",\n    {" + shown + "}},")
        print("}},")
    print("};\n// clang-format on\n\n} // namespace deflate_vectors")


if __name__ == "__main__":
    main()
