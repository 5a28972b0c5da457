"""A node of a cluster on loopback that answers what the test chooses."""

import contextlib
import socket
import socketserver
import threading

from redis_client import read_reply


def encode_reply(value):
    """A number, text or list as Redis sends it."""
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, str):
        return b"$%d\r\n%b\r\n" % (len(value), value.encode())
    return b"*%d\r\n" % len(value) + b"".join(map(encode_reply, value))


class FakeNode:
    """Answers CLUSTER SLOTS with `slots`, by default all at its own port, and
    INFO with `version`. It runs no scripts."""

    def __init__(self, slots=None, version="7.0.0"):
        self.version = version
        self.connections = []
        outer = self

        class Connection(socketserver.StreamRequestHandler):
            """One connection, until nginx ends it."""

            def handle(self):
                outer.connections.append(self.connection)
                with contextlib.suppress(ConnectionError):
                    while True:
                        self.wfile.write(outer.answer(read_reply(self.rfile)))

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0),
                                                      Connection)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.slots = slots or [[0, 16383, ["127.0.0.1", self.port, "id"]]]
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       args=(0.01,))
        self.thread.start()

    def answer(self, command):
        """The bytes of the reply."""
        words = [word.upper() for word in command[:2]]
        if words[0] == "PING":
            return b"+PONG\r\n"
        if words == ["CLUSTER", "SLOTS"]:
            return encode_reply(self.slots)
        if words[0] == "INFO":
            return encode_reply(f"# Server\r\nredis_version:{self.version}\r\n"
                                "run_id:0123\r\n")
        assert words == ["SCRIPT", "LOAD"], command
        return encode_reply("0" * 40)

    def close(self):
        """Ends all connections and accepts no more."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        for each in self.connections:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
