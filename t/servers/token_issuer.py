"""Issues signed tokens. It remembers them, so that a test can check that no log
has one."""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import time

HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384,
          "HS512": hashlib.sha512}
SECRET = b"a secret of more than the sixty-four bytes that HS512 requires..."


def encode(data):
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def as_json(value):
    """JSON; a text is taken as it is."""
    return (value if isinstance(value, str)
            else json.dumps(value, separators=(",", ":"))).encode()


def join(header, claims, sign):
    text = f"{encode(as_json(header))}.{encode(as_json(claims))}"
    return f"{text}.{encode(sign(text.encode()))}"


def in_seconds(seconds):
    """The claim "exp" for so many seconds from now."""
    return time.time() + seconds


class TokenIssuer:
    """`folder` gets the key files."""

    def __init__(self, folder, secret=SECRET):
        self.folder = str(folder)
        self.secret = secret
        self.issued = []

    def key_file(self, name="secret", content=None):
        """Writes a key file; returns its path."""
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(b"secret:" + self.secret if content is None
                       else content)
        return path

    def token(self, claims=None, header=None, secret=None, **more):
        """A token of a secret; `more` are claims."""
        claims = {**(claims or {}), **more} if not isinstance(claims, str) \
            else claims
        header = {"alg": "HS256"} if header is None else header
        name = header.get("alg") if isinstance(header, dict) else "HS256"
        digest = HASHES.get(name, hashlib.sha256)
        return self.remember(join(
            header, claims,
            lambda text: hmac.digest(secret or self.secret, text, digest)))

    def remember(self, token):
        self.issued.append(token)
        return token

    def rsa(self):
        """Creates an RSA key; returns the file of the public one, and a
        function that issues tokens."""
        private = os.path.join(self.folder, "rsa.key")
        public = os.path.join(self.folder, "rsa.pub")
        openssl("genrsa", "-out", private, "2048")
        openssl("pkey", "-in", private, "-pubout", "-out", public)

        def issue(claims, header=None):
            return self.remember(join(
                header or {"alg": "RS256"}, claims,
                lambda text: openssl("dgst", "-sha256", "-sign", private,
                                     data=text)))
        return public, issue

    def secrets(self):
        """The texts that no log may have: the parts of tokens that are not the
        same in all of them."""
        parts = set()
        for token in self.issued:
            parts.update(part for part in token.split(".")[1:]
                         if len(part) > 12)
        return parts | {self.secret.decode()}


def openssl(*args, data=b""):
    return subprocess.run(["openssl", *args], input=data, check=True,
                          capture_output=True).stdout


def as_cookie(token):
    """Further fields of a handshake with a token."""
    return {"headers": [("Cookie", f"token={token}")]}
