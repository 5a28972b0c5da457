"""publish() of Room: the result of its promise, without
unnoticed duplicates. room_js_harness.js describes the scripts."""

import pytest

# Imported so that pytest finds the fixtures.
from browser import browser_fixture, server_fixture
from room_js_harness import run_script_fixture

UNANSWERED = "perhaps: the connection was lost before the answer"


def test_promise_resolves_with_the_id(run_script):
    assert run_script("""
        const room = make();
        server().welcome("5-0");
        const answer = room.publish("x");
        const sent = server().sent;
        server().message("5-1", "x", 1);
        server().deliver("published", { ref: sent[0].ref, id: "5-1" });
        return [sent, await answer, events().slice(3)];""") == [
            [{"data": "x", "ref": 1}], "5-1", ["own 5-1"]]


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_answers_belong_to_their_refs(run_script, order):
    assert run_script(f"""
        const room = make();
        server().welcome("5-0");
        const answers = [room.publish("x"), room.publish("x")];
        for (const each of {order}) {{
            const {{ ref }} = server().sent[each];
            server().deliver("published", {{ ref, id: `5-${{each + 1}}` }});
        }}
        return Promise.all(answers);""") == ["5-1", "5-2"]


def test_error_rejects_with_its_message(run_script):
    assert run_script("""
        const room = make();
        server().welcome("5-0");
        const answers = [room.publish("x"), room.publish("y")].map(settled);
        const [, { ref }] = server().sent;
        server().deliver("error", { ref, message: "no room" });
        server().deliver("published", { ref: 1, id: "5-1" });
        return Promise.all(answers);""") == ["as 5-1", "not: no room"]


@pytest.mark.parametrize("data", ["undefined", "7", "{}", "new Blob()"])
def test_only_text_is_published(run_script, data):
    assert run_script(f"""
        const room = make();
        server().welcome("5-0");
        return [await settled(room.publish({data})), server().sent];""") == [
            "not: publish() takes a string", []]


def test_half_characters_are_replaced(run_script):
    assert run_script(r"""
        const room = make();
        server().welcome("5-0");
        room.publish("a\ud800b \ud83d\ude00 \udc00").catch(() => {});
        replace(String.prototype, "toWellFormed", undefined);
        room.publish("a\ud800b \ud83d\ude00 \udc00").catch(() => {});
        return server().sent.map(({ data }) => data);""") == [
            "a\ufffdb \U0001f600 \ufffd"] * 2


def test_text_waits_for_a_connection_and_is_sent_once(run_script):
    assert run_script("""
        const room = make();
        const answers = ["a", "b"].map((text) => room.publish(text));
        server().lose();
        next();
        answers.push(room.publish("c"));
        server().welcome("5-0");
        const sent = server().sent.map(({ data }) => data);
        server().sent.forEach(({ ref }) =>
            server().deliver("published", { ref, id: `5-${ref}` }));
        const ids = await Promise.all(answers);
        server().lose();
        next();
        server().welcome("5-3");
        return [sent, ids, server().sent];""") == [
            ["a", "b", "c"], ["5-1", "5-2", "5-3"], []]


def test_text_is_held_while_the_socket_closes(run_script):
    assert run_script("""
        const room = make();
        const first = server().welcome("5-0");
        first.readyState = 2;
        const answer = room.publish("x");
        first.lose(1001);
        at(0);
        server().welcome("5-0").deliver("published", { ref: 1, id: "5-1" });
        return [first.sent, server().sent.length, await answer];""") == [
            [], 1, "5-1"]


def test_only_so_many_wait_for_a_connection(run_script):
    assert run_script("""
        const room = make({ most_waiting: 2 });
        const answers = ["a", "b", "c"].map((text) =>
            settled(room.publish(text)));
        server().welcome("5-0");
        answers.push(...["d", "e", "f"].map((text) =>
            settled(room.publish(text))));
        server().sent.forEach(({ ref }) =>
            server().deliver("published", { ref, id: `5-${ref}` }));
        server().lose();
        answers.push(...["g", "h", "i"].map((text) =>
            settled(room.publish(text))));
        room.close();
        return Promise.all(answers);""") == [
            "as 5-1", "as 5-2",
            "not: too many messages wait for a connection",
            "as 5-3", "as 5-4", "as 5-5",
            *["not: the room was closed"] * 2,
            "not: too many messages wait for a connection"]


# The connection ends before the reply

def test_message_that_the_resume_brings_was_published(run_script):
    assert run_script("""
        const room = make();
        server().welcome("5-0", { client: 3 });
        const answer = settled(room.publish("x"));
        server().lose();
        next();
        server().welcome("5-2", { client: 4 });
        server().message("5-1", "x", 8).message("5-2", "x", 3);
        return [await answer, server().sent, events().slice(-3)];""") == [
            "as 5-2", [],
            ["message 5-1 missed", "own 5-2 missed", "caught up 2 true"]]


def test_message_that_no_resume_brings_is_in_doubt(run_script):
    assert run_script("""
        const room = make();
        server().welcome("5-0", { client: 3 });
        const answer = settled(room.publish("x"));
        server().lose();
        next();
        server().welcome("5-1", { client: 4 }).message("5-1", "x", 8);
        return [await answer, server().sent];""") == [UNANSWERED, []]


@pytest.mark.parametrize("last", ["5-1", "6-1"])
def test_message_before_a_gap_is_in_doubt(run_script, last):
    assert run_script(f"""
        const room = make();
        server().welcome("5-0", {{ client: 3 }});
        const answer = settled(room.publish("x"));
        server().lose();
        next();
        server().welcome("{last}", {{ client: 3, recovered: false }});
        const second = settled(room.publish("y"));
        server().deliver("published", {{ ref: 1, id: "5-2" }});
        return [await answer, await second, server().sent.length];""") == [
            UNANSWERED, "as 5-2", 1]


def test_equal_texts_are_matched_in_order(run_script):
    assert run_script("""
        const room = make();
        server().welcome("5-0", { client: 3 });
        const answers = ["x", "x", "y", "x"].map((text) =>
            settled(room.publish(text)));
        server().message("5-1", "x", 3);
        server().deliver("published", { ref: 1, id: "5-1" });
        server().lose();
        next();
        server().welcome("5-3", { client: 4 });
        server().message("5-2", "x", 3).message("5-3", "y", 3);
        return Promise.all(answers);""") == [
            "as 5-1", "as 5-2", "as 5-3", UNANSWERED]


def test_message_answered_early_matches_no_other(run_script):
    assert run_script("""
        const room = make();
        server().welcome("5-0", { client: 3 });
        const answers = ["x", "x"].map((text) => settled(room.publish(text)));
        server().deliver("published", { ref: 1, id: "5-1" });
        server().lose();
        next();
        server().welcome("5-1", { client: 4 }).message("5-1", "x", 3);
        return [...await Promise.all(answers), events().slice(-2)];""") == [
            "as 5-1", UNANSWERED, ["own 5-1 missed", "caught up 1 true"]]


def test_close_leaves_what_was_sent_in_doubt(run_script):
    assert run_script("""
        const room = make();
        server().welcome("5-0");
        const answer = settled(room.publish("x"));
        room.close();
        return answer;""") == "perhaps: the room was closed"


def test_suspended_room_keeps_unanswered_messages(run_script):
    assert run_script("""
        const room = make();
        server().welcome("5-0", { client: 3 });
        const answer = room.publish("x");
        room.suspend();
        const held = room.publish("y");
        room.resume();
        server().welcome("5-1", { client: 4 }).message("5-1", "x", 3);
        server().deliver("published", { ref: 1, id: "5-2" });
        return [await answer, await held, server().sent];""") == [
            "5-1", "5-2", [{"data": "y", "ref": 1}]]


# No reply arrives

NO_ANSWER = "perhaps: no answer came in time"


def test_promise_without_reply_rejects_on_a_connection(run_script):
    assert run_script("""
        const room = make({ answer_within: 1000, ping_after: Infinity });
        server().welcome("5-0");
        const first = settled(room.publish("x"));
        at(500);
        const second = settled(room.publish("y"));
        at(500);
        server().deliver("published", { ref: 2, id: "5-2" });
        server().deliver("published", { ref: 1, id: "5-1" });
        server().message("5-1", "x", 1);
        return [await first, await second, timers.size, events().slice(3)];
        """) == [NO_ANSWER, "as 5-2", 0, ["own 5-1"]]


def test_answer_timeout_restarts_with_a_connection(run_script):
    """Without a connection, no reply can arrive."""
    assert run_script("""
        const room = make({ answer_within: 1000, ping_after: Infinity,
                            first_delay: 50_000, longest_delay: 50_000 });
        server().welcome("5-0", { client: 3 });
        const answers = ["x", "y"].map((text) =>
            settled(room.publish(text)));
        at(900);
        server().lose();
        at(25_000);
        server().welcome("5-2", { client: 4 });
        at(900);
        server().message("5-1", "x", 3);
        at(100);
        return [...await Promise.all(answers), timers.size];""") == [
            "as 5-1", NO_ANSWER, 0]


@pytest.mark.parametrize("leave", ["suspend", "close"])
def test_room_that_is_left_waits_for_no_answer(run_script, leave):
    assert run_script(f"""
        const room = make({{ answer_within: 1000 }});
        server().welcome("5-0");
        settled(room.publish("x"));
        room.{leave}();
        const other = make({{ answer_within: 1000 }});
        other.addEventListener("welcome", () => other.{leave}());
        other.publish("y").catch(() => {{}});
        server().welcome("5-0");
        return timers.size;""") == 0


def test_dead_connection_leaves_what_was_sent_in_doubt(run_script):
    assert run_script("""
        const room = make({ ping_after: 1000, pong_within: 300 });
        server().welcome("5-0", { client: 3 });
        const answers = ["x", "y"].map((text) =>
            settled(room.publish(text)));
        at(1300);
        answers.push(settled(room.publish("z")));
        next();
        server().welcome("5-1", { client: 4 }).message("5-1", "x", 3);
        server().deliver("published", { ref: 1, id: "5-2" });
        return Promise.all(answers);""") == ["as 5-1", UNANSWERED, "as 5-2"]


# Rooms that do not send a client its own messages

def test_own_ids_that_do_not_arrive_are_no_gap(run_script):
    assert run_script("""
        const room = make();
        server().welcome("5-0", { client: 3 });
        const answers = ["x", "y"].map((text) => room.publish(text));
        server().deliver("published", { ref: 1, id: "5-1" });
        server().message("5-2");
        server().deliver("published", { ref: 2, id: "5-3" });
        server().message("5-4").message("5-6");
        return [await Promise.all(answers), events().slice(3)];""") == [
            ["5-1", "5-3"], ["message 5-2", "message 5-4",
                             "gap missing after 5-4", "message 5-6"]]
