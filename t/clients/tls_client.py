"""TLS for the clients of the tests."""

import contextlib
import ssl


class TlsSocket(ssl.SSLSocket):
    """Keeps its failures to itself. OpenSSL 3.5 leaves the failure of a write
    on the queue of its thread, and Python takes it for one of the connection
    that is used next. Reading writes, too: alerts."""

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
    """Empties OpenSSL's queue where something fails: what fails next takes
    all that is there."""
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
    """TLS, of one version alone if one is given; certificates are not
    checked. An end without close_notify is an error with every Python: before
    3.13 it is none by default."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = TlsSocket
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def client_tls(raw):
    """The socket under TLS."""
    return client_context().wrap_socket(raw, server_hostname="localhost")
