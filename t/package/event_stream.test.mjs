import assert from "node:assert/strict";
import { test } from "node:test";

import { Room, Rooms } from "../../src/client/package/index.js";
import { at, closing, peers, recorded, request, requests, settled, sockets,
         timer_count, turn } from "./harness.mjs";

const stream = { ...peers, transport: "event-stream" };
const make = (options = {}) => closing(
    new Room("wss://example.org/room/r?a=1", { ...stream, ...options }));

test("a stream is requested by HTTP, with the position", async () => {
    const room = make({ history: 5 });
    await turn();
    assert.equal(request().url.href, "https://example.org/room/r?a=1&since=0");
    assert.equal(request().headers.Accept, "text/event-stream");
    assert.equal(room.transport, "event-stream");
    assert.equal(sockets.length, 0);
});

test("messages have the members that a WebSocket has", async () => {
    const room = make();
    const messages = [];
    room.addEventListener("message", ({ detail }) => messages.push(detail));
    await turn();
    request().welcome().message("5-1", "one", 'from: 8\nuser: "Jürgen"\n')
        .write("event: binary\nid: 5-2\ntime: 8\ndata: AP8=\n\n")
        .write(`id: 5-3\ntime: 9\nbase64: ${btoa("a\rb")}\ndata: a\ndata: b`)
        .write("\n\n");
    await turn();
    assert.deepEqual(messages, [
        { id: "5-1", time: 7, from: 8, user: "Jürgen", data: "one", own: false,
          missed: false },
        { id: "5-2", time: 8, from: null, user: undefined,
          data: new Uint8Array([0, 255]), own: false, missed: false },
        { id: "5-3", time: 9, from: null, user: undefined, data: "a\rb",
          own: false, missed: false }]);
});

test("a text keeps its byte order mark", async () => {
    const room = make();
    const texts = [];
    room.addEventListener("message", ({ detail }) => texts.push(detail.data));
    await turn();
    request().welcome()
        .write("id: 5-1\nbase64: 77u/YQ1i\ndata: \ufeffa\ndata: b\n\n");
    await turn();
    assert.deepEqual(texts, ["\ufeffa\rb"]);
});

test("a character that is cut between pieces is whole", async () => {
    const room = make();
    const texts = [];
    room.addEventListener("message", ({ detail }) => texts.push(detail.data));
    await turn();
    request().welcome();
    for (const byte of new TextEncoder().encode("id: 5-1\ndata: ä€😀\n\n")) {
        request().write(new Uint8Array([byte]));
    }
    await turn();
    assert.deepEqual(texts, ["ä€😀"]);
});

test("a stream that breaks resumes after the last message", async () => {
    const events = recorded(make({ first_delay: 1000 }));
    await turn();
    request().welcome().message("5-1").end();
    await turn();
    await at(1000);
    assert.equal(request().since, "5-1");
    request().welcome("5-2").message("5-1").message("5-2").message("5-3");
    await turn();
    assert.deepEqual(events(), [
        "open", "caught up 0 true", "message 5-1", "waiting", "connecting",
        "open", "message 5-2 missed", "caught up 1 true", "message 5-3"]);
});

test("a Close comes as an event", async () => {
    const room = make();
    const states = [];
    room.addEventListener("state", ({ detail }) => states.push(detail));
    await turn();
    request().welcome().event("close", { code: 1001, reason: "going" }).end();
    await turn();
    await at(0);
    assert.equal(requests.length, 2);
    assert.equal(states[1].code, 1001);
    assert.equal(states[1].delay, 0);
    request().welcome().event("close", { code: 1000, reason: "deleted" });
    await turn();
    assert.equal(room.state, "closed");
    assert.equal(states.at(-1).reason, "deleted");
});

for (const [name, respond] of [
    ["another status", (each) => each.answer(404, "no")],
    ["another type", (each) => each.answer(200, "text")],
    ["no response", (each) => each.reject(new Error("unreachable"))]]) {
    test(`${name} is an attempt that failed`, async () => {
        const room = make();
        let why;
        room.addEventListener("state", ({ detail }) => { why ??= detail; });
        await turn();
        respond(request());
        await turn();
        assert.equal(why.state, "waiting");
        assert.equal(why.was_open, false);
        assert.match(why.reason, /no stream: status|unreachable/);
    });
}

test("silence for longer than two intervals ends the stream", async () => {
    const events = recorded(make({ ping_after: 1000, pong_within: 300 }));
    await turn();
    request().welcome();
    await turn();
    await at(1900);
    request().write(":\n\n");
    await turn();
    await at(2200);
    assert.equal(events().at(-1), "caught up 0 true");
    const silent = request();
    await at(200);
    assert.equal(events()[0], "waiting");
    assert.equal(silent.is_open, false);
});

test("a closed room leaves no request and no timer", async () => {
    const room = make();
    await turn();
    request().welcome();
    await turn();
    room.close();
    await turn();
    assert.equal(request().is_open, false);
    assert.equal(timer_count(), 0);
});

// Publishing

test("publications are requests, one after the other", async () => {
    const room = make({ token: async () => "t" });
    await turn();
    request().welcome();
    await turn();
    const results = ["a", "b"].map((text) => settled(room.publish(text)));
    await turn();
    assert.equal(requests.length, 2);
    const first = request();
    assert.equal(first.url.href, "https://example.org/room/r?a=1");
    assert.deepEqual([first.method, first.body, first.headers.Authorization],
                     ["POST", "a", "Bearer t"]);
    first.answer(200, { id: "5-1", clients: 1 });
    await turn();
    assert.equal(request().body, "b");
    request().answer(403, "no");
    assert.deepEqual(await Promise.all(results),
                     ["as 5-1", "not: status 403"]);
});

test("an own message is own, also if it comes before the answer", async () => {
    const room = make();
    const events = recorded(room);
    await turn();
    const get = request().welcome();
    await turn();
    const published = settled(room.publish("same"));
    await turn();
    const post = request();
    get.message("5-1", "other").message("5-2", "same").message("5-3", "same");
    await turn();
    assert.deepEqual(events().slice(2), ["message 5-1"]);
    post.answer(200, { id: "5-3", clients: 1 });
    assert.equal(await published, "as 5-3");
    await turn();
    assert.deepEqual(events(), ["message 5-2", "own 5-3"]);
});

test("a publication that was sent is answered after the stream", async () => {
    const room = make();
    const events = recorded(room);
    await turn();
    request().welcome();
    await turn();
    const results = ["sent", "waits"].map((each) => settled(room.publish(each)));
    await turn();
    const post = request();
    requests[0].end();
    await turn();
    await at(1000);
    request().welcome("5-1").message("5-1", "sent");
    await turn();
    post.answer(200, { id: "5-1", clients: 1 });
    await turn();
    assert.equal(request().body, "waits");
    request().answer(200, { id: "5-2", clients: 1 });
    assert.deepEqual(await Promise.all(results), ["as 5-1", "as 5-2"]);
    assert.equal(requests.filter(({ body }) => body === "waits").length, 1);
    assert.equal(events().filter((each) => each.includes("5-1")).length, 1);
});

test("a publication whose request breaks is uncertain", async () => {
    const room = make();
    await turn();
    request().welcome();
    await turn();
    const result = settled(room.publish("x"));
    await turn();
    request().reject(new Error("reset"));
    assert.equal(await result, "perhaps: no answer came in time");
});

// Tokens

test("a newer token makes a new stream at once", async () => {
    let count = 0;
    const room = make({ token: async () => ({ token: `t${++count}`,
                                              expires_in: 100 }) });
    const events = recorded(room);
    await turn();
    assert.equal(request().headers.Authorization, "Bearer t1");
    request().welcome().message("5-1");
    await turn();
    await at(50_000);
    assert.equal(requests.length, 2);
    assert.equal(request().headers.Authorization, "Bearer t2");
    assert.equal(request().since, "5-1");
    assert.deepEqual(events().slice(-1), ["connecting"]);
    assert.equal(requests[0].is_open, false);
});

// Many rooms

const make_rooms = () => closing(new Rooms("ws://example.org/live", stream));
const answer = (...names) => ({ rooms: Object.fromEntries(names.map(
    (name) => [name, { last: "5-0", clients: 1, recovered: true }])),
                                refused: {} });

test("rooms of one turn are in the address of one stream", async () => {
    const rooms = make_rooms();
    const a = rooms.subscribe("a,b", { history: 5 });
    rooms.subscribe("c=d");
    await turn();
    assert.equal(requests.length, 1);
    const { searchParams } = request().url;
    assert.equal(searchParams.get("rooms"), "a%2Cb,c%3Dd");
    assert.equal(searchParams.get("since"), "a%2Cb=0");
    request().welcome().event("subscribed", answer("a,b", "c=d"));
    assert.equal((await a).name, "a,b");
});

test("another list of rooms is another stream, with positions", async () => {
    const rooms = make_rooms();
    const events = recorded(rooms);
    rooms.subscribe("a");
    await turn();
    request().welcome().event("subscribed", answer("a"), "a=5-0")
        .event("message", { room: "a", id: "5-1", time: 1, from: null,
                            data: "x" }, "a=5-1");
    await turn();
    await at(0);
    rooms.subscribe("b");
    await turn();
    assert.equal(requests.length, 2);
    assert.equal(request().url.searchParams.get("rooms"), "a,b");
    assert.equal(request().url.searchParams.get("since"), "a=5-1");
    request().welcome().event("subscribed", { rooms: {
        a: { last: "5-2", clients: 1, recovered: true },
        b: { last: "7-7", clients: 1, recovered: true } }, refused: {} })
        .event("message", { room: "a", id: "5-2", time: 1, from: null,
                            data: "y" });
    await turn();
    await at(0);
    assert.deepEqual(events().filter((each) => /^[ab] /.test(each)), [
        "a subscribed false true", "a message 5-1", "a subscribed true true",
        "b subscribed false true", "a message 5-2 missed"]);
    rooms.unsubscribe("a");
    await turn();
    assert.equal(request().url.searchParams.get("rooms"), "b");
    assert.equal(request().url.searchParams.get("since"), "b=7-7");
});

test("rooms publish with the name of the room", async () => {
    const rooms = make_rooms();
    const subscribed = rooms.subscribe("a b");
    await turn();
    request().welcome().event("subscribed", answer("a b"));
    const room = await subscribed;
    const result = settled(room.publish("text"));
    await turn();
    assert.equal(request().url.href, "http://example.org/live?room=a+b");
    request().answer(200, { id: "5-1", clients: 1 });
    assert.equal(await result, "as 5-1");
    assert.equal(await settled(room.presence()),
                 "not: an event stream cannot do this");
});
