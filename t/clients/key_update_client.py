"""A TLS 1.3 client that sends KeyUpdates and padded records, which Python's ssl
module cannot send."""

import ctypes
import ctypes.util
import socket

import wire
from raw_client import TIMEOUT

KEY_UPDATE_NOT_REQUESTED = 0


def library(name, **types):
    loaded = ctypes.CDLL(ctypes.util.find_library(name))
    for function, arguments in types.items():
        getattr(loaded, function).restype = ctypes.c_void_p
        getattr(loaded, function).argtypes = [ctypes.c_void_p] * arguments
    return loaded


SSL = library("ssl", TLS_client_method=0, SSL_CTX_new=1, SSL_new=1,
              SSL_set0_wbio=2, SSL_free=1, SSL_CTX_free=1)
CRYPTO = library("crypto", BIO_s_mem=0, BIO_new=1)


class KeyUpdateClient:
    """A client of one path. It builds all records first and sends them in one
    write.

    record_size: the size to which each of its records is padded, in bytes.
    OpenSSL 3.5 accepts it only before the handshake.
    """

    def __init__(self, port, path, record_size=None):
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self.socket.settimeout(None)
        self.context = SSL.SSL_CTX_new(SSL.TLS_client_method())
        self.tls = ctypes.c_void_p(SSL.SSL_new(self.context))
        if record_size is not None:
            assert SSL.SSL_set_block_padding(
                self.tls, ctypes.c_size_t(record_size)) == 1
        assert SSL.SSL_set_fd(self.tls, self.socket.fileno()) == 1
        assert SSL.SSL_connect(self.tls) == 1
        self.out = ctypes.c_void_p(CRYPTO.BIO_new(CRYPTO.BIO_s_mem()))
        SSL.SSL_set0_wbio(self.tls, self.out)
        self.send(wire.upgrade_request(path))
        assert self.read().startswith(b"HTTP/1.1 101 ")

    def update(self, count):
        """Prepares `count` KeyUpdates, which the next send() sends."""
        for _ in range(count):
            assert SSL.SSL_key_update(self.tls, KEY_UPDATE_NOT_REQUESTED) == 1
            assert SSL.SSL_do_handshake(self.tls) == 1

    def send(self, data):
        assert SSL.SSL_write(self.tls, data, len(data)) == len(data)
        piece = ctypes.create_string_buffer(65536)
        while (size := CRYPTO.BIO_read(self.out, piece, len(piece))) > 0:
            self.socket.sendall(piece.raw[:size])

    def read(self):
        """Returns the next bytes, or b"" at the end of the connection."""
        piece = ctypes.create_string_buffer(65536)
        size = SSL.SSL_read(self.tls, piece, len(piece))
        return piece.raw[:max(size, 0)]

    def end(self):
        SSL.SSL_free(self.tls)
        SSL.SSL_CTX_free(ctypes.c_void_p(self.context))
        self.socket.close()
