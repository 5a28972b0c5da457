"""A server on loopback that reads commands as Redis does."""

import contextlib
import socket
import socketserver
import threading

from redis_client import read_reply


class FakeRedis:
    """Serves from its creation to close(). A subclass defines
    `answer(command, output)`, which returns the bytes of the reply; `output`
    is the file to which more can be written later."""

    def __init__(self):
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

    def close(self):
        """Ends all connections and accepts no more."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        for each in self.connections:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
