"""Text is UTF-8, checked as it arrives (RFC 6455 8.1, RFC 3629)."""

import pytest

import wire
from input_splits import whole_and_bytewise

VALID = {
    "ascii": "Hello, world!",
    "latin": "Zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich",
    "greek": "Κόσμε, ξεσκεπάζω την ψυχοφθόρα βδελυγμία",
    "cyrillic": "Съешь же ещё этих мягких французских булок",
    "hebrew": "דג סקרן שט בים מאוכזב ולפתע מצא חברה",
    "arabic": "نص حكيم له سر قاطع وذو شأن عظيم",
    "hindi": "ऋषियों को सताने वाले दुष्ट राक्षसों",
    "thai": "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า",
    "chinese": "視野無限廣，窗外有藍天",
    "japanese": "いろはにほへと ちりぬるを",
    "korean": "다람쥐 헌 쳇바퀴에 타고파",
    "emoji": "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "gothic": "\U00010330\U00010331\U00010332",
    "zero": "a\0b",
    "noncharacters": "\ufffe\uffff\ufdd0\U0001ffff\U0010fffe",
    "byte-order-mark": "\ufefftext",
    "combining": "e\u0301a\u0308",
}

EDGES = {
    "2-bytes-first": "\x80", "2-bytes-last": "\u07ff",
    "3-bytes-first": "\u0800", "3-bytes-last": "\uffff",
    "before-surrogates": "\ud7ff", "after-surrogates": "\ue000",
    "4-bytes-first": "\U00010000", "4-bytes-last": "\U0010ffff",
}

# The bytes, and the number of them after which no valid text is possible.
INVALID = {
    "lone-continuation": (b"\x80", 1),
    "lone-continuation-bf": (b"\xbf", 1),
    "overlong-2-c0": (b"\xc0\xaf", 1),
    "overlong-2-c1": (b"\xc1\xbf", 1),
    "overlong-3": (b"\xe0\x80\xaf", 2),
    "overlong-3-last": (b"\xe0\x9f\xbf", 2),
    "overlong-4": (b"\xf0\x80\x80\xaf", 2),
    "overlong-4-last": (b"\xf0\x8f\xbf\xbf", 2),
    "first-surrogate": (b"\xed\xa0\x80", 2),
    "last-surrogate": (b"\xed\xbf\xbf", 2),
    "surrogate-pair": (b"\xed\xa0\xbd\xed\xb8\x80", 2),
    "above-10ffff": (b"\xf4\x90\x80\x80", 2),
    "f5": (b"\xf5\x80\x80\x80", 1),
    "5-byte-form": (b"\xf8\x88\x80\x80\x80", 1),
    "6-byte-form": (b"\xfc\x84\x80\x80\x80\x80", 1),
    "fe": (b"\xfe", 1),
    "ff": (b"\xff", 1),
    "broken-2": (b"\xc3\x28", 2),
    "broken-3-second": (b"\xe2\x28\xa1", 2),
    "broken-3-third": (b"\xe2\x82\x28", 3),
    "broken-4-second": (b"\xf0\x28\x8c\xbc", 2),
    "broken-4-third": (b"\xf0\x90\x28\xbc", 3),
    "broken-4-fourth": (b"\xf0\x90\x8c\x28", 4),
    "lead-after-lead": (b"\xc3\xc3\xa9", 2),
    "extra-continuation": (b"\xc3\xa9\xa9", 3),
}

TRUNCATED = {
    "2-of-1": b"\xc3", "3-of-1": b"\xe2", "3-of-2": b"\xe2\x82",
    "4-of-1": b"\xf0", "4-of-2": b"\xf0\x9f", "4-of-3": b"\xf0\x9f\x98",
}

# Prefixes long enough for vector code, and too short for it.
PREFIXES = {"alone": b"", "after-text": "тест ".encode() * 3,
            "after-100": b"a" * 100, "after-mixed": "ж€".encode() * 41}


def table(values):
    return {"argvalues": list(values.values()), "ids": list(values)}


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx()


@whole_and_bytewise
@pytest.mark.parametrize("text", **table({**VALID, **EDGES}))
def test_valid_text_is_echoed(server, text, cut):
    client = server.connect()
    client.send(wire.text(text), cut)
    client.expect_text(text)


def test_valid_text_of_all_languages_is_echoed_at_any_length(server):
    text = "".join(VALID.values()) * 20
    client = server.connect()
    for length in range(0, len(text), 97):
        client.text(text[:length])
        client.expect_text(text[:length])


@pytest.mark.parametrize("text", **table(VALID))
def test_character_split_over_fragments_is_echoed(server, text):
    client = server.connect()
    parts = [bytes([byte]) for byte in text.encode()]
    client.send(wire.fragments(wire.TEXT, *parts))
    client.expect_text(text)


@pytest.mark.parametrize("text", **table(EDGES))
def test_character_split_around_a_ping_is_echoed(server, text):
    payload = text.encode()
    client = server.connect()
    client.send([wire.text(payload[:1], fin=False), wire.ping("between"),
                 wire.frame(0, b"", fin=False), wire.frame(0, payload[1:])])
    client.expect_pong("between")
    client.expect_text(text)


@whole_and_bytewise
@pytest.mark.parametrize("prefix", **table(PREFIXES))
@pytest.mark.parametrize("payload, enough", **table(INVALID))
def test_invalid_text_fails_with_1007(server, payload, enough, prefix, cut):
    client = server.connect()
    client.send(wire.text(prefix + payload + b"tail"), cut)
    client.expect_failure(1007)


@pytest.mark.parametrize("prefix", **table(PREFIXES))
@pytest.mark.parametrize("payload, enough", **table(INVALID))
def test_first_impossible_byte_fails_inside_the_frame(
        server, payload, enough, prefix):
    """The byte before it does not fail, and later bytes are not awaited."""
    whole = prefix + payload + b"x" * 100
    data = wire.text(whole)
    head = len(data) - len(whole)
    index = head + len(prefix) + enough
    client = server.connect()
    client.send(data[:index - 1])
    client.wait_until_read()
    client.expect_nothing(0.002)
    client.send(data[index - 1:index])
    client.expect_failure(1007, inside_frame=True)


@pytest.mark.parametrize("payload, enough", **table(INVALID))
def test_first_impossible_byte_fails_across_fragments(
        server, payload, enough):
    client = server.connect()
    for index in range(enough):
        client.expect_alive()
        client.send(wire.frame(wire.TEXT if index == 0 else 0,
                               payload[index:index + 1], fin=False))
    client.expect_failure(1007)


@whole_and_bytewise
@pytest.mark.parametrize("prefix", **table(PREFIXES))
@pytest.mark.parametrize("payload", **table(TRUNCATED))
def test_character_cut_by_the_end_fails_with_1007(
        server, payload, prefix, cut):
    client = server.connect()
    client.send(wire.text(prefix + payload), cut)
    client.expect_failure(1007)


@pytest.mark.parametrize("payload", **table(TRUNCATED))
def test_character_cut_by_the_last_fragment_fails_with_1007(server, payload):
    client = server.connect()
    client.send(wire.text("ok " + "ж" * 20, fin=False)
                + wire.frame(0, payload, fin=False))
    client.expect_alive()
    client.send(wire.frame(0))
    client.expect_failure(1007)


@pytest.mark.parametrize("payload", **table(TRUNCATED))
def test_next_message_starts_afresh(server, payload):
    """The start of a character does not belong to the next message."""
    client = server.connect()
    client.send([wire.binary(payload), wire.text("clean")])
    client.expect_binary(payload)
    client.expect_text("clean")


@pytest.mark.parametrize("payload, enough", **table(INVALID))
def test_invalid_text_in_binary_and_ping_is_echoed(server, payload, enough):
    client = server.connect()
    client.send([wire.binary(payload), wire.ping(payload),
                 wire.fragments(wire.BINARY, payload[:1], payload[1:])])
    client.expect_binary(payload)
    client.expect_pong(payload)
    client.expect_binary(payload)


@pytest.mark.parametrize("index", [0, 1, 1000, 16383, 65535, 300000])
def test_one_bad_byte_in_a_large_text_fails_with_1007(server, index):
    payload = bytearray(b"y" * 400000)
    payload[index] = 0xFF
    client = server.connect()
    client.send(wire.text(bytes(payload)))
    client.expect_failure(1007)
