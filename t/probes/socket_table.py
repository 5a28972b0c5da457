"""The TCP sockets of processes, from the kernel's socket diagnostics. They filter
by port, so unlike /proc/net/tcp they take no longer if thousands of other
connections have ended a moment ago. It is read where they are missing."""

import contextlib
import os
import socket
import struct

from socket_queue import (NETLINK_HEADER, NETLINK_SOCK_DIAG, NLM_F_REQUEST,
                          SOCK_DIAG_BY_FAMILY)

NLM_F_DUMP = 0x300
NLMSG_DONE = 3
TIME_WAIT, LISTEN = 6, 10
STATES = 0xFFF & ~(1 << TIME_WAIT | 1 << LISTEN)
INODE_OFFSET = 68


def links_of(pid):
    """The targets of a process's descriptors."""
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            yield os.readlink(f"{folder}/{name}")


def connections_of(pid, port):
    """The local ports from which a process has connected to a port on
    loopback."""
    links = set(links_of(pid))
    return {local for local, inode in connections_to(port)
            if f"socket:[{inode}]" in links}


def open_files(pid):
    """The open files of a process, with the ports of its connections."""
    ports = {}
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table.readlines()[1:]:
            fields = line.split()
            local, remote = (int(each.partition(":")[2], 16)
                             for each in fields[1:3])
            ports[f"socket:[{fields[9]}]"] = f"{local} to {remote}"
    return ", ".join(sorted(ports.get(link, link) for link in links_of(pid)))


def connections_to(port):
    """Yields the local port and the inode of each connection to a port."""
    body = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, STATES)
    body += struct.pack("!HH", 0, port) + bytes(36) + b"\xff" * 8
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW,
                       NETLINK_SOCK_DIAG) as netlink:
        netlink.send(NETLINK_HEADER.pack(
            NETLINK_HEADER.size + len(body), SOCK_DIAG_BY_FAMILY,
            NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body)
        while True:
            rest = netlink.recv(1 << 16)
            while rest:
                length, kind, *_ = NETLINK_HEADER.unpack_from(rest)
                if kind == NLMSG_DONE:
                    return
                if kind != SOCK_DIAG_BY_FAMILY:
                    yield from connections_by_proc(port)
                    return
                message = rest[NETLINK_HEADER.size:]
                local, = struct.unpack_from("!H", message, 4)
                inode, = struct.unpack_from("=I", message, INODE_OFFSET)
                yield local, inode
                rest = rest[(length + 3) & ~3:]


def connections_by_proc(port):
    """The same, and with the inode 0 connections that have ended."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table:
            if f":{port:04X} " in line:
                fields = line.split()
                if fields[2].endswith(f":{port:04X}"):
                    yield int(fields[1].partition(":")[2], 16), int(fields[9])
