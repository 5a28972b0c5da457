"""The events of Room for messages of the server.
room_js_harness.js describes the scripts."""

import pytest

# Imported so that pytest finds the fixtures.
from browser import browser_fixture, server_fixture
from room_js_harness import run_script_fixture


# Joining and going on

def test_join_without_history_asks_for_none(run_script):
    assert run_script("""
        const room = make();
        const asked = [server().url, server().protocol];
        server().welcome("5-7", { client: 9, clients: 3 });
        server().message("5-8");
        return [...asked, events(), room.client, room.clients, room.last];
        """) == [
            "wss://example.org/room/r", "room.v1.json",
            ["open", "welcome", "caught up 0 true", "message 5-8"],
            9, 3, "5-8"]


@pytest.mark.parametrize("history, kept", [
    ("2", ["5-6", "5-7"]), ("7", ["5-4", "5-5", "5-6", "5-7"]),
    ("Infinity", ["5-4", "5-5", "5-6", "5-7"])])
def test_join_with_history_gets_the_latest(run_script, history, kept):
    result = run_script(f"""
        make({{ history: {history} }});
        const since = server().since;
        server().welcome("5-7", {{ recovered: false }});
        for (const id of [4, 5, 6, 7, 8]) {{
            server().message(`5-${{id}}`);
        }}
        return [since, events()];""")
    assert result == ["0", [
        "open", "welcome", *[f"message {id} missed" for id in kept],
        f"caught up {len(kept)} true", "message 5-8"]]


def test_join_that_broke_before_its_history_came(run_script):
    assert run_script("""
        make({ history: 2 });
        server().welcome("5-7", { recovered: false }).lose();
        next();
        const since = server().since;
        server().welcome("5-9", { recovered: false });
        [6, 7, 8, 9].forEach((id) => server().message(`5-${id}`));
        const whole = events();
        server().lose();
        next();
        make({ history: 2 });
        server().welcome("5-7", { recovered: false }).lose();
        next();
        server().welcome("5-99", { recovered: false });
        events();
        server().message("5-90");
        return [since, whole, events()];""") == [
            "5-5",
            ["open", "welcome", "waiting", "connecting", "open", "welcome",
             *[f"message 5-{id} missed" for id in (6, 7, 8, 9)],
             "caught up 4 true"],
            ["gap missing after 5-5", "message 5-90 missed"]]


def test_since_option_resumes_after_an_id(run_script):
    assert run_script("""
        make({ since: "5-3", history: 50 });
        const { since } = server();
        server().welcome("5-4").message("5-4");
        return [since, events()];""") == ["5-3", [
            "open", "welcome", "message 5-4 missed", "caught up 1 true"]]


@pytest.mark.parametrize("since", ['"0"', '"5"', '"5-x"', "7", '""'])
def test_wrong_since_is_refused(run_script, since):
    assert run_script(f"""
        try {{
            make({{ since: {since} }});
        }} catch (error) {{
            return [error.name, sockets.length];
        }}""") == ["TypeError", 0]


def test_resume_brings_what_was_missed_once(run_script):
    assert run_script("""
        const room = make();
        server().welcome("5-7").message("5-8").lose();
        next();
        const { since } = server();
        server().welcome("5-10", { client: 2 });
        for (const id of [7, 8, 9, 9, 10, 10, 11]) {
            server().message(`5-${id}`);
        }
        return [since, events().slice(5), room.last];""") == [
            "5-8", ["connecting", "open", "welcome", "message 5-9 missed",
                    "message 5-10 missed", "caught up 2 true",
                    "message 5-11"], "5-11"]


def test_resume_without_new_messages_is_complete_at_once(run_script):
    assert run_script("""
        make();
        server().welcome("5-0").lose();
        next();
        server().welcome("5-0");
        return [server().since, events().slice(-3)];""") == [
            "5-0", ["open", "welcome", "caught up 0 true"]]


def test_events_of_an_abandoned_connection_are_ignored(run_script):
    assert run_script("""
        const room = make();
        const first = server().welcome("5-0");
        room.suspend();
        room.resume();
        events();
        first.message("5-1").lose();
        server().welcome("5-1").message("5-1");
        return events();""") == ["open", "welcome", "message 5-1 missed",
                               "caught up 1 true"]


# Gaps

def test_resume_that_could_not_bring_all_is_a_gap(run_script):
    assert run_script("""
        make();
        server().welcome("5-7").message("5-8").lose();
        next();
        events();
        server().welcome("5-60", { recovered: false });
        for (const id of [58, 59, 60, 61]) {
            server().message(`5-${id}`);
        }
        return events();""") == [
            "open", "welcome", "gap resume after 5-8", "message 5-58 missed",
            "message 5-59 missed", "message 5-60 missed", "caught up 3 false",
            "message 5-61"]


def test_gap_with_an_empty_history_is_reported_once(run_script):
    assert run_script("""
        make();
        server().welcome("5-7").lose();
        next();
        server().welcome("5-60", { recovered: false }).lose();
        next();
        events();
        server().welcome("5-60", { recovered: false });
        server().message("5-61");
        return [server().since, events()];""") == [
            "5-7", ["open", "welcome", "caught up 0 true", "message 5-61"]]


def test_new_epoch_is_a_gap_and_restarts_ids(run_script):
    assert run_script("""
        const room = make();
        server().welcome("5-7").message("5-8").lose();
        next();
        events();
        server().welcome("6-2", { recovered: false });
        for (const id of [1, 2, 3]) {
            server().message(`6-${id}`);
        }
        return [events(), room.last];""") == [
            ["open", "welcome", "gap resume after 5-8", "message 6-1 missed",
             "message 6-2 missed", "caught up 2 false", "message 6-3"],
            "6-3"]


def test_ids_of_a_new_server_are_not_taken_for_own(run_script):
    assert run_script("""
        make();
        server().welcome("5-0", { client: 3 }).message("5-1", "x", 3).lose();
        next();
        events();
        server().welcome("6-0", { client: 4, recovered: false });
        server().message("6-1", "y", 3).message("6-2", "z", 4);
        return events().slice(-2);""") == ["message 6-1", "own 6-2"]


def test_gap_from_the_server_covers_the_next_ids(run_script):
    assert run_script("""
        make();
        server().welcome("5-7").message("5-8").deliver("gap");
        server().message("5-20").message("5-21").message("5-25");
        return events().slice(4);""") == [
            "gap slow after 5-8", "message 5-20", "message 5-21",
            "gap missing after 5-21", "message 5-25"]


def test_epoch_that_changes_without_a_welcome_is_a_gap(run_script):
    assert run_script("""
        make({ since: "5-7" });
        server().welcome("5-90", { recovered: false }).message("5-90");
        events();
        for (const id of [1, 2, 5]) {
            server().message(`6-${id}`);
        }
        return events();""") == [
            "gap missing after 5-90", "message 6-1", "message 6-2",
            "gap missing after 6-2", "message 6-5"]


def test_presence_ends_a_catching_up_of_unknown_length(run_script):
    assert run_script("""
        const room = make();
        server().welcome("5-7").lose();
        next();
        events();
        server().welcome("5-9", { recovered: false });
        server().deliver("joined", { client: 8, clients: 2 });
        return [events(), room.clients];""") == [
            ["open", "welcome", "gap resume after 5-7", "caught up 0 false",
             "presence"], 2]


# Invalid input

@pytest.mark.parametrize("frame", [
    '"no json"', '"{"', '"[1]"', '"null"', '"7"', '"{}"',
    """'{"type":7}'""", "new Blob(['x'])", """'{"type":"message"}'""",
    """'{"type":"message","id":"5-1"}'""",
    """'{"type":"message","id":"5-1","base64":"?"}'""",
    """'{"type":"message","id":7,"data":""}'""",
    """'{"type":"welcome","last":"5-0"}'""",
    """'{"type":"published","ref":1}'"""])
def test_frame_that_is_no_object_of_the_protocol(run_script, frame):
    assert run_script(f"""
        make();
        server().welcome("5-0").frame({frame}).message("5-1");
        return events().slice(3);""") == ["fault", "message 5-1"]


@pytest.mark.parametrize("kind", ["later", "toString", "__proto__"])
def test_types_of_later_versions_are_passed_over(run_script, kind):
    assert run_script(f"""
        make();
        server().welcome("5-0").deliver("{kind}").message("5-1");
        return events().slice(3);""") == ["message 5-1"]


def test_nothing_is_taken_before_the_welcome(run_script):
    assert run_script("""
        make();
        server().message("5-1").deliver("gap")
            .deliver("joined", { clients: 2 });
        server().frame("?").welcome("5-1");
        return events();""") == ["fault", "open", "welcome", "caught up 0 true"]


def test_error_without_a_ref_is_an_event(run_script):
    assert run_script("""
        make().addEventListener("fault", ({ detail }) => {
            text = detail.message;
        });
        let text;
        server().welcome("5-0").deliver("error", { message: "no memory" });
        return text;""") == "no memory"


def test_binary_messages_are_bytes(run_script):
    assert run_script("""
        let bytes;
        make().addEventListener("message", ({ detail }) => {
            bytes = [detail.data instanceof Uint8Array, ...detail.data];
        });
        server().welcome("5-0").deliver("message", { id: "5-1", time: 1,
            from: null, base64: "AP+A" });
        return bytes;""") == [True, 0, 255, 128]


# Addresses

@pytest.mark.parametrize("url, wanted", [
    ("/room/r", "ws://HOST/room/r"), ("room/r", "ws://HOST/room/r"),
    ("https://h/r#top", "wss://h/r"), ("http://h/r", "ws://h/r"),
    ("wss://h/r?token=1", "wss://h/r?token=1")])
def test_address_may_be_relative_or_of_http(run_script, url, wanted):
    assert run_script(f"""
        make({{}}, "{url}");
        return server().url.replace(location.host, "HOST");""") == wanted


def test_arguments_of_the_address_are_kept(run_script):
    assert run_script("""
        make({ since: "5-3" }, "wss://h/r?token=1");
        return server().url;""") == "wss://h/r?token=1&since=5-3"
