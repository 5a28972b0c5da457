// The environment of a test of the package nginx-websocket in Node: WebSockets
// and event streams whose server is the test, and a clock that it advances.

import { afterEach } from "node:test";

const real = { clearTimeout };
const timers = new Map();
let now = 1000;
let last_timer = 0;

globalThis.setTimeout = (call, delay = 0) => {
    timers.set(++last_timer, { call, time: now + delay });
    return last_timer;
};
globalThis.clearTimeout = (id) => {
    if (typeof id !== "number") {
        real.clearTimeout(id);
    }
    timers.delete(id);
};
// Node 18 allows no assignment.
Object.defineProperty(performance, "now", { value: () => now });

// Waits until all that is ready has run.
export async function turn() {
    for (let i = 0; i < 5; i++) {
        await new Promise((resolve) => { setImmediate(resolve); });
    }
}

// Advances the clock and runs the timers that are due.
export async function at(milliseconds) {
    const end = now + milliseconds;
    for (;;) {
        const [next] = Array.from(timers).filter(([, { time }]) => time <= end)
            .sort(([, a], [, b]) => a.time - b.time);
        if (!next) {
            break;
        }
        const [id, { call, time }] = next;
        timers.delete(id);
        now = Math.max(now, time);
        call();
        await turn();
    }
    now = end;
    await turn();
}

export const timer_count = () => timers.size;

export class FakeSocket extends EventTarget {
    static all = [];

    constructor(url, protocols) {
        super();
        Object.assign(this, { url: new URL(url), protocols, readyState: 0,
                              sent: [], closed: false });
        FakeSocket.all.push(this);
    }

    get since() { return this.url.searchParams.get("since"); }

    send(text) { this.sent.push(JSON.parse(text)); }

    close() {
        this.closed = true;
        this.readyState = 2;
    }

    // Calls of the server

    deliver(object) {
        this.readyState ||= 1;
        this.dispatchEvent(Object.assign(new Event("message"),
                                         { data: JSON.stringify(object) }));
        return this;
    }

    welcome(last = "5-0", more = {}) {
        return this.deliver({ type: "welcome", client: 100
            + FakeSocket.all.length, room: "r", last, clients: 1,
                              recovered: true, ...more });
    }

    message(id, data = id, more = {}) {
        return this.deliver({ type: "message", id, time: 1, from: null, data,
                              ...more });
    }

    lose(code = 1006, reason = "") {
        this.readyState = 3;
        this.dispatchEvent(Object.assign(new Event("close"),
                                         { code, reason }));
        return this;
    }
}

// A request of fetch(), which the test answers.
class Request {
    static all = [];

    constructor(url, options) {
        Object.assign(this, { url: new URL(url), ...options });
        this.response = new Promise((resolve, reject) => {
            this.resolve = resolve;
            this.reject = reject;
        });
        this.signal?.addEventListener("abort", () => {
            this.reject(new Error("aborted"));
            this.end();
        });
        Request.all.push(this);
    }

    get since() { return this.url.searchParams.get("since"); }
    get is_open() { return !this.signal?.aborted && !this.ended; }

    answer(status, body = "") {
        this.resolve(new Response(typeof body === "string" ? body
            : JSON.stringify(body), { status }));
        return this;
    }

    // Begins an event stream.
    accept() {
        const body = new ReadableStream({
            start: (controller) => { this.controller = controller; },
        });
        this.resolve(new Response(body, {
            headers: { "Content-Type": "text/event-stream" } }));
        return this;
    }

    write(text) {
        this.controller.enqueue(typeof text === "string"
            ? new TextEncoder().encode(text) : text);
        return this;
    }

    event(type, object, id = undefined) {
        return this.write(`${id === undefined ? "" : `id: ${id}\n`}event: ${
            type}\ndata: ${JSON.stringify({ type, ...object })}\n\n`);
    }

    welcome(last = "5-0", more = {}) {
        return this.accept().write("retry: 2000\n\n").event("welcome", {
            client: 200 + Request.all.length, room: "r", last, clients: 1,
            recovered: true, ...more });
    }

    message(id, data = id, fields = "") {
        return this.write(`id: ${id}\ntime: 7\n${fields}data: ${data}\n\n`);
    }

    end() {
        this.ended = true;
        try {
            this.controller?.close();
        } catch {
            // It has ended.
        }
    }
}

export const sockets = FakeSocket.all;
export const requests = Request.all;
export const socket = () => sockets.at(-1);
export const request = () => requests.at(-1);
export const fetch = (url, options) => new Request(url, options).response;
export const peers = { WebSocket: FakeSocket, fetch };

// The events of a room or of rooms, in a short form.
export function recorded(target) {
    const events = [];
    const describe = {
        state: ({ state }) => state,
        message: ({ room, id, own, missed }) => [room, own ? "own" : "message",
            id, missed && "missed"].filter(Boolean).join(" "),
        gap: ({ room, cause, after }) => [room, `gap ${cause} after ${after}`]
            .filter(Boolean).join(" "),
        caught_up: ({ messages, complete }) =>
            `caught up ${messages} ${complete}`,
        refused: ({ room, reason }) => `${room} refused: ${reason}`,
        subscribed: ({ room, resumed, recovered }) =>
            `${room} subscribed ${resumed} ${recovered}`,
        fault: ({ message }) => `fault ${message}`,
    };
    for (const [name, call] of Object.entries(describe)) {
        target.addEventListener(name, ({ detail }) =>
            events.push(call(detail)));
    }
    return () => events.splice(0);
}

export const settled = (promise) => promise.then((id) => `as ${id}`,
    ({ message, uncertain }) => `${uncertain ? "perhaps" : "not"}: ${message}`);

const started = [];

// Closes it when the test has ended.
export function closing(client) {
    started.push(client);
    return client;
}

afterEach(async () => {
    started.splice(0).forEach((client) => client.close());
    await turn();
    timers.clear();
    sockets.length = 0;
    requests.length = 0;
});
