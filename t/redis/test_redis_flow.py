"""More messages than Redis accepts at a time. Publishers are slowed down, not
closed, and messages that are sent again are published once."""

import contextlib
import threading

import pytest

import wire
from nginx_server import seconds
from redis_faults import Received, read_raw_until, start_for_faults
from room_client import read_data, read_type, send_text
from tcp_proxy import DOWN, UP

LOCATIONS = """
location /room { websocket room room history=5; }
location /flood { websocket room flood self=off; }
location /publish { websocket_publish room room; }
"""

PATIENT = "connect_timeout=20s command_timeout=20s queue=64k"


@pytest.fixture
def patient(hosts, start_redis):
    return start_for_faults(hosts, start_redis, LOCATIONS, PATIENT,
                            workers=1)


def frames(count, size):
    return [wire.text(f"{number}".rjust(size, "-")) for number in range(count)]


def test_client_that_publishes_too_much_is_slowed_down(patient):
    """The client sends 24 MB. At most 4 MB may be on their way to Redis, and
    sockets hold some more."""
    count, size = 6000, 4096
    flood, quiet = patient[0].connect("/flood"), patient[1].connect("/flood")
    patient[0].proxy.pause(UP)
    sending = threading.Thread(target=flood.send, args=(frames(count, size),),
                               kwargs={"duplex": False}, daemon=True)
    sending.start()
    quiet.expect_alive()
    sending.join(1)  # it cannot end before release()
    assert sending.is_alive(), "the server has read all messages"
    patient[0].proxy.release()
    for number in range(count):
        frame = quiet.read_frame(seconds(20))
        assert frame.opcode == wire.TEXT
        assert frame.payload.lstrip(b"-") == str(number).encode()
    sending.join(seconds(20))
    assert not sending.is_alive()
    flood.expect_alive()


def test_echo_continues_while_publishers_are_paused(hosts, start_redis):
    group = start_for_faults(
        hosts, start_redis,
        LOCATIONS + "location /echo { websocket echo; }", PATIENT, workers=1)
    flood, echo = group[0].connect("/flood"), group[0].connect("/echo")
    group[0].proxy.pause(UP)

    def send():
        with contextlib.suppress(OSError, AssertionError):
            flood.send(frames(6000, 4096), duplex=False)

    sending = threading.Thread(target=send, daemon=True)
    sending.start()
    for number in range(100):
        echo.text(f"{number}")
        echo.expect_text(f"{number}")
    assert sending.is_alive()
    flood.disconnect()
    group[0].proxy.release()


def test_as_many_as_redis_remembers_were_sent_twice(patient):
    """Their replies were lost."""
    near, far = patient[0].connect("/room"), patient[1].join("/room")
    near.text("first")
    assert read_data(far) == ["first"]
    near.expect_text("first")
    patient[0].proxy.pause(DOWN)
    near.send([wire.text(f"{number}") for number in range(280)])
    received = Received(far, "255", 20)
    received.check()
    assert received.data == [f"{number}" for number in range(256)]
    patient[0].proxy.reset()
    patient[0].proxy.release()
    assert read_raw_until(near, "279", 20) == [f"{number}"
                                               for number in range(280)]
    received = Received(far, "279", 20)
    received.check()
    assert received.data == [f"{number}" for number in range(256, 280)]
    send_text(far, "next")
    assert read_type(far, "message", seconds(20))["data"] == "next"


def ask_often(host, path, count):
    """Sends `count` GET requests for the state of a resource."""
    for begin in range(0, count, 500):  # nginx ends a connection after 1,000
        publisher = host.publisher(path)
        for _ in range(begin, min(begin + 500, count)):
            publisher.get_state()
        publisher.client.disconnect()


def test_redis_stores_few_ids_of_published_messages(hosts):
    """Only those that the worker may not yet have a reply to. It also numbers
    its queries, of which Redis stores none."""
    group = hosts(LOCATIONS, count=1, workers=1)
    client = group[0].connect("/room")
    for numbers, questions in ((range(3000), 6000), (range(3000, 6000), 0)):
        client.send([wire.text(f"{number}") for number in numbers])
        for number in numbers:
            client.expect_text(f"{number}")
        ask_often(group[0], "/publish", questions)
    key, = group.redis.keys("ws:*w:*")
    remembered = [int(each.split()[0])
                  for each in group.redis.command("HVALS", key)]
    assert sorted(remembered) == list(range(5745, 6001))
