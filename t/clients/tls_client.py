"""TLS for the clients of the tests."""

import contextlib
import ssl


class TlsSocket(ssl.SSLSocket):
    """A TLS socket whose failures do not affect other connections.

    OpenSSL 3.5 leaves a failed write in the error queue of its thread. Python
    then reports it as an error of the next connection that is used. A read may
    also write, because OpenSSL sends alerts.
    """

    def recv(self, buflen=1024, flags=0):
        with failures_dropped():
            return super().recv(buflen, flags)

    def send(self, data, flags=0):
        with failures_dropped():
            return super().send(data, flags)

    def unwrap(self):
        with failures_dropped():
            return super().unwrap()

    def do_handshake(self, block=False):
        with failures_dropped():
            return super().do_handshake(block)


@contextlib.contextmanager
def failures_dropped():
    """Empties OpenSSL's error queue after a failure. The failed handshake of
    another TLS object removes all entries."""
    try:
        yield
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        raise
    except OSError:
        nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(
            ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
        with contextlib.suppress(OSError):
            nobody.do_handshake()
        raise


def client_context(version=None):
    """A TLS context, of one version if given, that does not check
    certificates. An end without close_notify is an error with every Python
    version; before 3.13 it is not by default."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = TlsSocket
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def client_tls(raw):
    """Wraps a socket in TLS."""
    return client_context().wrap_socket(raw, server_hostname="localhost")
