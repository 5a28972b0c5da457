"""A handler that sends a received message back, whole and in parts. The frames
refer to the receive buffer and must not disturb each other."""

import pytest

import handler_log
import wire
from worker_probe import only_worker, stopped

SIZES = [4, 125, 126, 2000, 2047, 2048, 2049, 16384, 60000, 65535, 65536,
         100000]


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx("location /back { websocket probe back; }",
                        http=handler_log.plugin())


def message_of(size):
    return ("back" + "".join(chr(97 + i % 23) for i in range(size)))[:size]


def expect_all_of(client, message):
    client.expect_text(message)
    client.expect_binary(message.encode())
    client.expect_text(message[4:])
    client.expect_binary(message[:-1].encode())


@pytest.mark.parametrize("size", SIZES)
def test_message_sent_back_twice_and_in_parts_arrives(server, size):
    client = server.connect("/back")
    message = message_of(size)
    client.text(message)
    expect_all_of(client, message)
    data = wire.text(message)
    client.send(data, [size // 2, len(data) - 1])
    expect_all_of(client, message)


@pytest.mark.parametrize("size", SIZES)
def test_messages_of_one_read_sent_back_arrive_in_order(server, size):
    client = server.connect("/back")
    messages = [message_of(size), message_of(size + 1), message_of(5),
                message_of(size)]
    with stopped(only_worker(server)):
        client.send(b"".join(wire.text(one) for one in messages),
                    duplex=False)
    for message in messages:
        expect_all_of(client, message)


def test_messages_sent_back_stay_unchanged_for_a_late_reader(server):
    client = server.connect("/back")
    messages = [message_of(40000 + i) for i in range(6)]
    client.send(b"".join(wire.text(one) for one in messages), duplex=False)
    for message in messages:
        expect_all_of(client, message)
