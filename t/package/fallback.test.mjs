import assert from "node:assert/strict";
import { test } from "node:test";

import { Room, Rooms } from "../../src/client/package/index.js";
import { at, closing, fetch, peers, recorded, request, requests, socket,
         sockets, turn } from "./harness.mjs";

const make = (options = {}) => closing(new Room("wss://example.org/room/r",
    { ...peers, first_delay: 0, ...options }));

// The attempts, in order, while nothing opens.
async function attempts(count) {
    const kinds = [];
    for (let i = 0; i < count; i++) {
        await turn();
        if (requests.length + sockets.length !== i + 1) {
            throw new Error(`${i}: no attempt`);
        }
        const is_stream = kinds.filter((each) => each === "stream").length
            !== requests.length;
        kinds.push(is_stream ? "stream" : "socket");
        if (is_stream) {
            request().answer(404);
        } else {
            socket().lose(1006);
        }
        await turn();
        await at(0);
    }
    return kinds;
}

test("a WebSocket that fails twice before it opens is replaced", async () => {
    make();
    assert.deepEqual(await attempts(6), ["socket", "socket", "stream", "socket",
                                         "stream", "socket"]);
});

test("a forced transport is kept", async () => {
    make({ transport: "websocket" });
    assert.deepEqual(await attempts(4), Array(4).fill("socket"));
});

test("a forced event stream is kept", async () => {
    make({ transport: "event-stream" });
    assert.deepEqual(await attempts(4), Array(4).fill("stream"));
});

test("without a WebSocket there are event streams", async () => {
    const { WebSocket } = globalThis;
    try {
        globalThis.WebSocket = undefined;
        const room = closing(new Room("wss://example.org/r", { fetch }));
        await turn();
        assert.equal(room.transport, "event-stream");
        assert.equal(requests.length, 1);
    } finally {
        globalThis.WebSocket = WebSocket;
    }
});

test("a WebSocket that has opened is not given up", async () => {
    const room = make();
    socket().welcome();
    await at(2000);
    socket().lose();
    await at(0);
    for (let i = 0; i < 5; i++) {
        socket().lose();
        await at(0);
    }
    assert.equal(sockets.length, 7);
    assert.equal(room.transport, "websocket");
});

test("another network begins again", async () => {
    const room = make();
    socket().welcome();
    await at(2000);
    const listen = [];
    const { addEventListener } = globalThis;
    globalThis.addEventListener = (name, call) => listen.push([name, call]);
    const other = make();
    globalThis.addEventListener = addEventListener;
    socket().welcome();
    socket().lose();
    await at(0);
    listen.find(([name]) => name === "online")[1]();
    socket().lose();
    await at(0);
    socket().lose();
    await turn();
    assert.equal(other.transport, "event-stream");
    assert.equal(room.transport, "websocket");
});

test("three that are cut at once are replaced, others not", async () => {
    const room = make();
    for (const [lasted, code] of [[0, 1006], [999, 1006], [1000, 1006],
                                  [0, 1006], [0, 1001], [0, 1006], [0, 1006],
                                  [999, 1006]]) {
        assert.equal(room.transport, "websocket");
        socket().welcome();
        await at(lasted);
        socket().lose(code);
        await at(0);
    }
    assert.equal(room.transport, "event-stream");
    assert.equal(requests.length, 1);
});

async function on_a_stream(options) {
    const room = make(options);
    for (let i = 0; i < 2; i++) {
        socket().lose();
        await at(0);
    }
    request().welcome("5-1");
    await turn();
    assert.equal(room.state, "open");
    return room;
}

test("after a while a WebSocket replaces the stream without loss", async () => {
    const room = await on_a_stream({ retry_websocket: 60_000,
                                     ping_after: Infinity });
    const events = recorded(room);
    request().message("5-2");
    await at(59_999);
    assert.equal(sockets.length, 2);
    await at(1);
    assert.equal(sockets.length, 3);
    assert.equal(socket().since, "5-2");
    request().message("5-3");
    await turn();
    assert.deepEqual(events(), ["message 5-2", "message 5-3"]);
    assert.equal(room.transport, "event-stream");
    socket().welcome("5-4").message("5-3").message("5-4").message("5-5");
    assert.equal(room.transport, "websocket");
    assert.equal(request().is_open, false);
    assert.deepEqual(events(), ["connecting", "open", "message 5-4 missed",
                                "caught up 1 true", "message 5-5"]);
});

for (const [name, fail] of [["fails", () => socket().lose()],
                            ["brings nothing", () => at(20_000)]]) {
    test(`a WebSocket that ${name} does not disturb the stream`, async () => {
        const room = await on_a_stream({ retry_websocket: 60_000,
                                         ping_after: Infinity });
        const events = recorded(room);
        await at(60_000);
        await fail();
        request().message("5-2");
        await turn();
        assert.deepEqual(events(), ["message 5-2"]);
        assert.equal(socket().closed, true);
        await at(59_000);
        assert.equal(sockets.length, 3);
        await at(1000);
        assert.equal(sockets.length, 4);
    });
}

test("a page that leaves also ends the other attempt", async () => {
    const room = await on_a_stream({ retry_websocket: 60_000,
                                     ping_after: Infinity });
    await at(60_000);
    room.suspend();
    await turn();
    socket().welcome("5-1");
    assert.equal(room.state, "suspended");
    assert.equal(socket().closed, true);
    assert.equal(request().is_open, false);
});

test("rooms go from a stream to a WebSocket with their positions", async () => {
    const rooms = closing(new Rooms("ws://example.org/live", {
        ...peers, first_delay: 0, retry_websocket: 1000 }));
    const events = recorded(rooms);
    rooms.subscribe("a");
    for (let i = 0; i < 2; i++) {
        await turn();
        socket().lose();
        await at(0);
    }
    const stream = request().welcome().event("subscribed", { refused: {},
        rooms: { a: { last: "5-1", clients: 1, recovered: true } } });
    await turn();
    await at(1000);
    socket().deliver({ type: "welcome", client: 9, user: null });
    await turn();
    assert.equal(stream.is_open, false);
    const [{ ref, ...asked }] = socket().sent;
    assert.deepEqual(asked, { subscribe: ["a"], since: { a: "5-1" } });
    socket().deliver({ type: "subscribed", ref, refused: {},
        rooms: { a: { last: "5-2", clients: 1, recovered: true } } })
        .message("5-2", "x", { room: "a" });
    await turn();
    assert.deepEqual(events().filter((each) => each.startsWith("a ")), [
        "a subscribed false true", "a subscribed true true",
        "a message 5-2 missed"]);
    assert.equal(rooms.transport, "websocket");
});

test("a token callback that fails is no failure of WebSockets", async () => {
    let fails = true;
    const room = make({ token: async () => {
        if (fails) {
            throw new Error("no session");
        }
        return "t";
    } });
    for (let i = 0; i < 5; i++) {
        await turn();
        await at(0);
    }
    fails = false;
    await at(0);
    assert.equal(room.transport, "websocket");
    assert.equal(requests.length, 0);
});
