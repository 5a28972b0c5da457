"""Checks whether the peer of a loopback connection has read all bytes.

If the client sends single bytes, the server may still read several in one call.
A test of one byte per read must wait until each byte is read. The kernel's
socket diagnostics report the received and the unread bytes of the server's end.
Without them, /proc/net/tcp reports the unread bytes. A byte in transit then
counts as read, so the server may occasionally read two bytes together.
"""

import os
import socket
import struct
import time

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST = 1
INET_DIAG_INFO = 2
ESTABLISHED_OR_CLOSING = {1, 4, 5, 8, 9, 11}

NETLINK_HEADER = struct.Struct("=IHHII")
DIAG_MESSAGE_SIZE = 72
RQUEUE_OFFSET = 56
STATE_OFFSET = 1
ATTRIBUTE_HEADER = struct.Struct("=HH")

# Offsets in struct tcp_info, linux/tcp.h.
BYTES_RECEIVED_OFFSET = 128
BYTES_NOT_SENT_OFFSET = 144
BYTES_SENT_OFFSET = 200
BYTES_RETRANSMITTED_OFFSET = 208


def tcp_bytes_written(own):
    """The number of payload bytes that were written to this socket. Bytes that
    the kernel has not sent yet count; retransmitted ones count once."""
    info = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    sent, = struct.unpack_from("=Q", info, BYTES_SENT_OFFSET)
    again, = struct.unpack_from("=Q", info, BYTES_RETRANSMITTED_OFFSET)
    waiting, = struct.unpack_from("=I", info, BYTES_NOT_SENT_OFFSET)
    return sent - again + waiting


def diagnostics_request(local, remote):
    """The netlink request for the TCP socket with these addresses."""
    def padded(address):
        return socket.inet_aton(address[0]) + bytes(12)

    body = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP,
                       1 << (INET_DIAG_INFO - 1), 0xFFFFFFFF)
    body += struct.pack("!HH", local[1], remote[1])
    body += padded(local) + padded(remote) + bytes(4) + b"\xff" * 8
    length = NETLINK_HEADER.size + len(body)
    return NETLINK_HEADER.pack(length, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST,
                               1, 0) + body


def parse_diagnostics(answer):
    """Returns (bytes received, bytes unread), or None if the socket is
    closed."""
    if NETLINK_HEADER.unpack_from(answer)[1] != SOCK_DIAG_BY_FAMILY:
        return None
    message = answer[NETLINK_HEADER.size:]
    if message[STATE_OFFSET] not in ESTABLISHED_OR_CLOSING:
        return None
    unread, = struct.unpack_from("=I", message, RQUEUE_OFFSET)
    at = DIAG_MESSAGE_SIZE
    while at + ATTRIBUTE_HEADER.size <= len(message):
        length, kind = ATTRIBUTE_HEADER.unpack_from(message, at)
        if kind == INET_DIAG_INFO:
            received, = struct.unpack_from(
                "=Q", message, at + 4 + BYTES_RECEIVED_OFFSET)
            return received, unread
        at += (length + 3) & ~3
    return None


def unread_by_proc(local, remote):
    """The unread bytes of one TCP socket, or None if it is closed."""
    def shown(address):
        number, = struct.unpack("=I", socket.inet_aton(address[0]))
        return f"{number:08X}:{address[1]:04X}"

    wanted = [shown(local), shown(remote)]
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table:
            fields = line.split()
            if fields[1:3] == wanted:
                open_still = int(fields[3], 16) in ESTABLISHED_OR_CLOSING
                unread = int(fields[4].split(":")[1], 16)
                return unread if open_still else None
    return None


class UnreadBytes:
    """The receive queue at the other end of one connected TCP socket."""

    def __init__(self, own):
        self.own = own
        self.here, self.there = own.getsockname(), own.getpeername()
        self.netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW,
                                     NETLINK_SOCK_DIAG)
        self.diagnostics = self.diagnose(self.here, self.there) is not None

    def close(self):
        self.netlink.close()

    def diagnose(self, local, remote):
        """(bytes received, bytes unread), or None if the kernel does not
        reply."""
        self.netlink.send(diagnostics_request(local, remote))
        return parse_diagnostics(self.netlink.recv(4096))

    def all_is_read(self):
        """Whether the peer has read all bytes, or has closed its socket."""
        if not self.diagnostics:
            return not unread_by_proc(self.there, self.here)
        state = self.diagnose(self.there, self.here)
        if state is None:
            return True
        received, unread = state
        return unread == 0 and received >= tcp_bytes_written(self.own)

    def wait_until_read(self, timeout):
        """Returns when the peer has read or discarded all bytes."""
        deadline = time.monotonic() + timeout
        while not self.all_is_read():
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"the server left bytes unread for {timeout} s")
            os.sched_yield()
