"""A certificate authority, certificates that it has signed, right or wrong, and
self-signed ones."""

import os
import subprocess

CONFIG = """
[ca]
default_ca = test
[test]
database = {folder}/index
new_certs_dir = {folder}
rand_serial = yes
policy = policy
default_md = sha256
default_days = 2
copy_extensions = copy
unique_subject = no
[policy]
commonName = supplied
"""


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


def make_key(base, name, *more):
    """A new key, and a request or a certificate for it."""
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-keyout", f"{base}.key", "-subj", f"/CN={name}", *more)


class Certificate:
    """Paths of the certificate, its key, and the certificate of its
    authority."""

    def __init__(self, base, authority):
        self.certificate = f"{base}.crt"
        self.key = f"{base}.key"
        self.authority = authority


class Authority:
    """Writes all files to one folder."""

    def __init__(self, folder, name="authority"):
        self.folder = os.path.join(folder, name)
        os.makedirs(self.folder)
        self.base = os.path.join(self.folder, name)
        self.config = os.path.join(self.folder, "openssl.cnf")
        make_key(self.base, name, "-x509", "-days", "2", "-out",
                 f"{self.base}.crt")
        with open(self.config, "w", encoding="ascii") as file:
            file.write(CONFIG.format(folder=self.folder))
        with open(f"{self.folder}/index", "w", encoding="ascii"):
            pass

    @property
    def certificate(self):
        return f"{self.base}.crt"

    def sign(self, name, *dates, names="DNS:localhost,IP:127.0.0.1"):
        """Signs a new certificate; dates: options of `openssl ca`."""
        base = os.path.join(self.folder, name)
        make_key(base, name, "-addext", f"subjectAltName={names}", "-out",
                 f"{base}.csr")
        openssl("ca", "-batch", "-config", self.config, "-cert",
                self.certificate, "-keyfile", f"{self.base}.key", "-in",
                f"{base}.csr", "-out", f"{base}.crt", "-notext", *dates)
        return Certificate(base, self.certificate)


def make_certificate(folder):
    """Creates a self-signed certificate for localhost; returns the path of both
    files without its suffix."""
    base = os.path.join(folder, "localhost")
    if not os.path.exists(base + ".crt"):
        make_key(base, "localhost", "-x509", "-days", "2", "-addext",
                 "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out",
                 f"{base}.crt")
    return base
