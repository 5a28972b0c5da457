"""The helpers for Redis: server, client and proxy."""

import os
import socket
import threading
import time

import pytest

from nginx_server import seconds, wait_until
from redis_client import RedisClient, RedisError, encode
from socket_table import connections_of
from tcp_proxy import DOWN, UP, TcpProxy


@pytest.fixture
def proxy(redis):
    proxy = TcpProxy(redis.port)
    yield proxy
    proxy.close()


def through(proxy, **options):
    return RedisClient(("127.0.0.1", proxy.port), **options)


# The server and the client

def test_replies_of_all_kinds(redis):
    with redis.client() as client:
        assert client.ask("SET", "a", "ä") == "OK"
        assert client.ask("GET", "a") == "ä"
        assert client.ask("SET", "b", b"\xff\r\n") == "OK"
        assert client.ask("MGET", "a", "b", "c") == ["ä", b"\xff\r\n", None]
        assert client.ask("INCR", "n") == 1
        with pytest.raises(RedisError, match="WRONGTYPE"):
            client.ask("LPUSH", "a", 1)
        assert client.ask("PING") == "PONG"
    assert redis.keys() == ["a", "b", "n"]
    redis.flushall()
    assert redis.keys() == []


def test_it_is_on_loopback_and_ends(start_redis):
    redis = start_redis()
    assert redis.command("CONFIG", "GET", "bind")[1] == "127.0.0.1"
    redis.remove()
    assert not os.path.exists(f"/proc/{redis.pid}")
    assert not os.path.exists(redis.folder)


def test_unix_socket(start_redis):
    redis = start_redis(unix=True)
    with RedisClient(redis.path) as client:
        assert client.ask("PING") == "PONG"
    assert redis.url("unix") == f"unix:{redis.path}"


@pytest.mark.parametrize("keep", [True, False])
def test_restart_keeps_data_only_with_keep(start_redis, keep):
    redis = start_redis(keep=keep)
    port, pid = redis.port, redis.pid
    redis.command("SET", "a", "1")
    redis.restart()
    assert redis.port == port and redis.pid != pid
    assert redis.command("GET", "a") == ("1" if keep else None)
    redis.command("SET", "a", "2")
    redis.stop()
    assert not redis.running
    with pytest.raises(OSError):
        redis.command("PING")
    redis.start(empty=True)
    assert redis.command("GET", "a") is None


def test_frozen_it_answers_late(redis):
    with redis.client() as client:
        with redis.frozen():
            client.socket.settimeout(0.05)
            with pytest.raises(TimeoutError):
                client.ask("PING")
    assert redis.command("PING") == "PONG"


def test_stop_ends_a_frozen_one(redis):
    redis.freeze()
    redis.stop()
    assert not redis.running


def test_password(redis):
    redis.config_set("requirepass", "secret")
    assert redis.command("PING") == "PONG"
    assert f":secret@127.0.0.1:{redis.port}" in redis.url()
    with pytest.raises(RedisError, match="NOAUTH"):
        with RedisClient(("127.0.0.1", redis.port)) as client:
            client.ask("PING")
    redis.restart()
    assert redis.command("PING") == "PONG"
    with pytest.raises(RedisError, match="NOAUTH"):
        with RedisClient(("127.0.0.1", redis.port)) as client:
            client.ask("PING")


def test_memory_runs_out(redis):
    redis.config_set("maxmemory", "1mb")
    with pytest.raises(RedisError, match="OOM"):
        for number in range(3):
            redis.command("SET", f"k{number}", b"x" * 1000000)
    redis.flushall()
    assert redis.command("PING") == "PONG"


def test_connections_and_subscriptions_are_listed(redis):
    with redis.client() as one, redis.client() as two:
        one.ask("SUBSCRIBE", "a")
        one.ask("SUBSCRIBE", "b")
        two.ask("SUBSCRIBE", "a")
        assert redis.subscriptions() == {"a": 2, "b": 1}
        assert redis.subscriptions("b*") == {"b": 1}
        assert len(redis.subscribers()) == len(redis.connections()) == 2
        assert connections_of(os.getpid(), redis.port) >= {
            client.socket.getsockname()[1] for client in (one, two)}
        redis.client_kill(redis.subscribers()[0])
        assert len(redis.connections()) == 1
        redis.client_kill()
        assert redis.connections() == []
        with pytest.raises(ConnectionError):
            two.read()


def test_message_reaches_a_subscriber(redis):
    with redis.client() as client:
        client.ask("SUBSCRIBE", "a")
        assert redis.command("PUBLISH", "a", "x") == 1
        assert client.read() == ["message", "a", "x"]


# The proxy

def test_proxy_forwards_everything(proxy):
    data = os.urandom(3000000)
    with through(proxy) as client:
        assert client.ask("SET", "a", data) == "OK"
        assert client.ask("GET", "a") == data
    wait_until(lambda: proxy.passed[UP] > len(data) < proxy.passed[DOWN],
               seconds(5), "the counts of all bytes")


def test_proxy_delays_what_it_forwards(proxy):
    with through(proxy) as client:
        proxy.set_delay(0.1)
        began = time.monotonic()
        assert client.ask("PING") == "PONG"
        assert 0.2 <= time.monotonic() - began < 2
        proxy.restore()
        assert client.ask("PING") == "PONG"


def test_proxy_forwards_in_pieces(proxy):
    with through(proxy) as client:
        proxy.set_piece(1)
        assert client.ask("ECHO", "some text") == "some text"


def test_proxy_injects_replies(proxy):
    with through(proxy) as client:
        client.ask("PING")
        proxy.inject(b"+injected\r\n")
        assert client.read() == "injected"
        assert client.ask("PING") == "PONG"


def test_proxy_half_closes(redis, proxy):
    with through(proxy) as client:
        client.ask("PING")
        proxy.half_close()
        with pytest.raises(ConnectionError):
            client.read()
        client.socket.sendall(encode(["SET", "a", "b"]))
        wait_until(lambda: redis.command("GET", "a"), seconds(5), "a command")


@pytest.mark.parametrize("way, known", [(UP, None), (DOWN, "1")])
def test_proxy_pauses_one_direction(redis, proxy, way, known):
    with through(proxy) as client:
        client.ask("PING")
        proxy.pause(way)
        client.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.ask("SET", "a", "1")
        assert redis.command("GET", "a") == known
    with through(proxy) as client:
        proxy.release()
        assert client.ask("PING") == "PONG"


def test_paused_proxy_accepts_connections_without_answering(proxy):
    proxy.pause()
    with through(proxy, timeout=0.1) as client:
        with pytest.raises(TimeoutError):
            client.ask("PING")


def test_paused_bytes_are_lost_by_a_reset(redis, proxy):
    with through(proxy) as client:
        client.ask("PING")
        proxy.pause()
        client.socket.sendall(b"SET a 1\r\n")
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            client.read()
    proxy.release()
    with through(proxy) as client:
        assert client.ask("GET", "a") is None


def test_cut_proxy_refuses_until_restored(proxy):
    with through(proxy) as client:
        client.ask("PING")
        proxy.cut()
        with pytest.raises(OSError):
            client.ask("PING")
    with pytest.raises(ConnectionRefusedError):
        through(proxy)
    proxy.restore()
    with through(proxy) as client:
        assert client.ask("PING") == "PONG"


def test_proxy_blackhole_answers_nothing(proxy):
    proxy.blackhole()
    with pytest.raises(TimeoutError):
        through(proxy, timeout=0.1)
    proxy.restore()
    with through(proxy) as client:
        assert client.ask("PING") == "PONG"


def test_proxy_without_a_server_resets_connections(redis, proxy):
    redis.kill()
    with pytest.raises((ConnectionError, BrokenPipeError)):
        with through(proxy) as client:
            client.ask("PING")
    redis.start()
    with through(proxy) as client:
        assert client.ask("PING") == "PONG"


def test_proxy_forwards_the_end_of_the_server(redis, proxy):
    with through(proxy) as client:
        client.ask("PING")
        redis.stop()
        with pytest.raises(ConnectionError):
            client.read()


def test_closed_proxy_has_no_thread(redis):
    before = threading.active_count()
    proxy = TcpProxy(redis.port)
    assert threading.active_count() == before + 1
    proxy.close()
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port))
