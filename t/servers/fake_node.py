"""A node of a cluster on loopback that answers what the test chooses."""

from fake_redis import FakeRedis


def encode_reply(value):
    """A number, text or list as Redis sends it."""
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, str):
        return b"$%d\r\n%b\r\n" % (len(value), value.encode())
    return b"*%d\r\n" % len(value) + b"".join(map(encode_reply, value))


class FakeNode(FakeRedis):
    """Answers CLUSTER SLOTS with `slots`, by default all at its own port, and
    INFO with `version`. It runs no scripts."""

    def __init__(self, slots=None, version="7.0.0"):
        super().__init__()
        self.version = version
        self.slots = slots or [[0, 16383, ["127.0.0.1", self.port, "id"]]]

    def answer(self, command, _):
        """The bytes of the reply."""
        words = [word.upper() for word in command[:2]]
        if words[0] == "PING":
            return b"+PONG\r\n"
        if words == ["CLUSTER", "SLOTS"]:
            return encode_reply(self.slots)
        if words[0] == "INFO":
            return encode_reply(f"# Server\r\nredis_version:{self.version}\r\n"
                                "run_id:0123\r\n")
        assert words == ["SCRIPT", "LOAD"], command
        return encode_reply("0" * 40)
