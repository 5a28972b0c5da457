"""A sentinel on loopback that answers what the test chooses."""

import contextlib
import socket
import socketserver
import threading

from redis_client import encode, read_reply


class FakeSentinel:
    """Names `master`, a host and a port, or None for a master that it does not
    know. epoch: the version of its configuration. asked: how often it was
    asked. The subscribers get what announce() sends."""

    def __init__(self, host, port, epoch=0):
        self.master = (host, port)
        self.epoch = epoch
        self.asked = 0
        self.subscribers = []
        self.connections = []
        outer = self

        class Connection(socketserver.StreamRequestHandler):
            """One connection, until nginx ends it."""

            def handle(self):
                outer.connections.append(self.connection)
                with contextlib.suppress(ConnectionError):
                    while True:
                        self.wfile.write(outer.answer(
                            read_reply(self.rfile), self.wfile))

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0),
                                                      Connection)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       args=(0.01,))
        self.thread.start()

    def answer(self, command, connection):
        """The bytes of the reply."""
        args = [arg.upper() for arg in command[:2]]
        if args[0] == "PING":
            return b"+PONG\r\n"
        if args[0] == "AUTH":
            return b"-ERR AUTH called without any password configured\r\n"
        if args[0] == "SUBSCRIBE":
            self.subscribers.append(connection)
            return b"*3\r\n$9\r\nsubscribe\r\n" + \
                encode(command[1:])[4:] + b":1\r\n"
        assert args[0] == "SENTINEL", command
        if args[1] == "MASTER":
            return encode(["name", command[2], "config-epoch", self.epoch])
        self.asked += 1
        return encode(self.master) if self.master else b"*-1\r\n"

    def announce(self, host, port, epoch):
        """Names another master from now on."""
        message = f"mymaster {self.master[0]} {self.master[1]} {host} {port}"
        self.master, self.epoch = (host, port), epoch
        for each in self.subscribers:
            with contextlib.suppress(OSError, ValueError):
                each.write(encode(["message", "+switch-master", message]))

    def close(self):
        """Ends all connections and accepts no more."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        for each in self.connections:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
