"""A TCP proxy on loopback that delays, pauses, cuts or drops connections, as a
bad network does."""

import collections
import contextlib
import queue
import selectors
import socket
import threading
import time

from loopback_ports import free_ports
from raw_client import TIMEOUT

READ_SIZE = 65536
RST = b"\1\0\0\0\0\0\0\0"
UP, DOWN = "up", "down"  # to the server, and back


class Direction:
    """One direction of a connection, with the bytes that are not forwarded
    yet."""

    def __init__(self, name, source, target):
        self.name = name
        self.source = source
        self.target = target
        self.waiting = collections.deque()  # (when, bytes); b"": the end


class ProxiedConnection:
    """A connection of a client and its connection to the server."""

    def __init__(self, outer, inner):
        self.sockets = (outer, inner)
        self.ways = {UP: Direction(UP, outer, inner),
                     DOWN: Direction(DOWN, inner, outer)}


class TcpProxy:
    """Listens on `port` and connects to `upstream` for each client.

    Each change is effective when the call returns. A thread serves the
    connections; `close` ends it.
    """

    def __init__(self, upstream):
        self.upstream = upstream
        [self.port] = [self.service_port] = free_ports(1)
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.pairs = set()
        self.delay = 0
        self.piece = None
        self.paused = set()
        self.fillers = []
        self.passed = collections.Counter()  # bytes, by direction
        self.accepted = 0
        self.commands = queue.SimpleQueue()
        self.wakeup_writer, self.wakeup_reader = socket.socketpair()
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.wakeup_reader, selectors.EVENT_READ)
        self._listen(self.listener)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    # Commands

    def set_delay(self, delay):
        """Delays later bytes by so many seconds in each direction."""
        self._execute(lambda: setattr(self, "delay", delay))

    def set_piece(self, size):
        """Forwards later bytes in sends of so many bytes; None: as they
        come."""
        self._execute(lambda: setattr(self, "piece", size))

    def inject(self, data):
        """Sends bytes to all clients, as if the server had sent them."""
        self._execute(lambda: [
            pair.ways[DOWN].waiting.append((time.monotonic(), data))
            for pair in self.pairs])

    def half_close(self):
        """Ends the direction to the clients with a FIN. Their bytes are still
        forwarded."""
        self._execute(lambda: [
            pair.ways[DOWN].target.shutdown(socket.SHUT_WR)
            for pair in self.pairs])

    def pause(self, *ways):
        """Stops forwarding, by default in both directions. Connections are
        still accepted."""
        self._execute(lambda: self.paused.update(ways or (UP, DOWN)))

    def release(self):
        """Forwards everything again, paused bytes first."""
        self._execute(self._release)

    def reset(self):
        """Ends all connections with an RST and drops paused bytes."""
        self._execute(self._drop_all)

    def reset_some(self, choose):
        """Ends those connections with an RST that choose(list) returns."""
        self._execute(lambda: [self._drop(pair)
                               for pair in choose(list(self.pairs))])

    def cut(self):
        """Ends all connections and refuses new ones."""
        def command():
            self._drop_all()
            self._stop_listening()
        self._execute(command)

    def blackhole(self):
        """Ends all connections. New ones get no response, as from a host that
        is switched off."""
        def command():
            self._drop_all()
            self._stop_listening()
            self.listener = socket.socket()
            self.listener.setsockopt(socket.SOL_SOCKET,
                                     socket.SO_REUSEADDR, 1)
            self.listener.bind(("127.0.0.1", self.port))
            self.listener.listen(0)
            self.fillers = [socket.socket() for _ in range(4)]
            for filler in self.fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", self.port))
        self._execute(command)

    def restore(self):
        """Accepts connections again and forwards at full speed."""
        def command():
            self.delay = 0
            self.piece = None
            if self.fillers or self.listener is None:
                self._stop_listening()
                self._listen(socket.create_server(("127.0.0.1", self.port)))
            self._release()
        self._execute(command)

    def close(self):
        """Closes all connections and ends the thread."""
        def command():
            self._drop_all()
            self._stop_listening()
            self.listener = self.selector = None
        self._execute(command)
        self.thread.join()
        self.wakeup_writer.close()
        self.wakeup_reader.close()

    def _execute(self, command):
        done = threading.Event()
        self.commands.put((command, done))
        self.wakeup_writer.send(b"x")
        assert done.wait(TIMEOUT), "the proxy does not respond"

    # In the thread

    def _run(self):
        while self.selector is not None:
            due = [way.waiting[0][0] for pair in self.pairs
                   for way in pair.ways.values()
                   if way.waiting and way.name not in self.paused]
            rest = max(0, min(due) - time.monotonic()) if due else None
            for key, _ in self.selector.select(rest):
                if key.fileobj is self.wakeup_reader:
                    self._run_commands()
                    break  # the other sockets may be closed by now
                if key.data is None:
                    self._accept()
                    break
                self._turn(*key.data)
            else:
                self._forward()

    def _run_commands(self):
        self.wakeup_reader.recv(READ_SIZE)
        with contextlib.suppress(queue.Empty):
            while True:
                command, done = self.commands.get_nowait()
                command()
                done.set()

    def _listen(self, listener):
        self.listener = listener
        self.selector.register(listener, selectors.EVENT_READ)

    def _stop_listening(self):
        if self.listener is not None:
            if self.listener in self.selector.get_map():
                self.selector.unregister(self.listener)
            self.listener.close()
        self.listener = None
        for filler in self.fillers:
            filler.close()
        self.fillers = []

    def _release(self):
        self.paused.clear()

    def _accept(self):
        outer, _ = self.listener.accept()
        self.accepted += 1
        try:
            inner = socket.create_connection(
                ("127.0.0.1", self.upstream), TIMEOUT)
        except OSError:
            outer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
            outer.close()
            return
        pair = ProxiedConnection(outer, inner)
        self.pairs.add(pair)
        for one, way in ((outer, UP), (inner, DOWN)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.setblocking(False)
            self.selector.register(one, selectors.EVENT_READ, (pair, way))

    def _turn(self, pair, name):
        """Reads from a socket of a pair."""
        way = pair.ways[name]
        if pair not in self.pairs:
            return
        try:
            data = way.source.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            self._drop(pair)
            return
        if not data:
            self.selector.unregister(way.source)
        way.waiting.append((time.monotonic() + self.delay, data))

    def _forward(self):
        """Forwards all bytes that are due."""
        now = time.monotonic()
        for pair in list(self.pairs):
            for way in pair.ways.values():
                if way.name not in self.paused and pair in self.pairs:
                    self._pass_on(pair, way, now)

    def _pass_on(self, pair, way, now):
        while way.waiting and way.waiting[0][0] <= now:
            when, data = way.waiting[0]
            if not data:
                self._drop(pair, False)
                return
            try:
                sent = way.target.send(data[:self.piece])
            except BlockingIOError:
                way.waiting[0] = (now + 0.001, data)
                return
            except OSError:
                self._drop(pair)
                return
            self.passed[way.name] += sent
            if sent == len(data):
                way.waiting.popleft()
            else:
                way.waiting[0] = (when, data[sent:])

    def _drop(self, pair, broken=True):
        self.pairs.discard(pair)
        for one in pair.sockets:
            if one in self.selector.get_map():
                self.selector.unregister(one)
            if broken:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
            one.close()

    def _drop_all(self):
        for pair in list(self.pairs):
            self._drop(pair)
