// The environment of a script that tests Room: a WebSocket whose server is
// the script, and a clock that the script advances. The text of the script
// replaces a placeholder below, because pages may not compile functions.

const [done] = arguments;
const sockets = [];
const timers = new Map();
const recorded = [];
let now = 1000;
let last_timer = 0;

class fake_socket extends EventTarget {
    static OPEN = 1;

    constructor(url, protocol) {
        super();
        Object.assign(this, { url: String(url), protocol, readyState: 0,
                              sent: [], closed: false });
        sockets.push(this);
    }

    get since() { return new URL(this.url).searchParams.get("since"); }

    send(text) {
        if (this.readyState === 1) {
            this.sent.push(JSON.parse(text));
        }
    }

    close() {
        this.closed = true;
        this.readyState = 2;
    }

    // Calls of the server

    frame(data) {
        this.readyState ||= 1;
        this.dispatchEvent(new MessageEvent("message", { data }));
        return this;
    }

    deliver(type, more = {}) {
        return this.frame(JSON.stringify({ type, ...more }));
    }

    welcome(last, more = {}) {
        return this.deliver("welcome", {
            client: sockets.length, room: "r", last, clients: 1,
            recovered: true, ...more });
    }

    message(id, data = id, from = null) {
        return this.deliver("message", { id, time: 1, from, data });
    }

    lose(code = 1006, reason = "") {
        this.readyState = 3;
        this.dispatchEvent(new CloseEvent("close", { code, reason }));
        return this;
    }
}

function first_timer() {
    return Array.from(timers).sort(([, a], [, b]) => a.time - b.time)[0];
}

// Runs the next timer.
function next() {
    const [id, { call, time }] = first_timer();
    timers.delete(id);
    now = time;
    call();
}

// Advances the clock and runs the timers that are due.
function at(milliseconds) {
    const end = now + milliseconds;
    while (first_timer()?.[1].time <= end) {
        next();
    }
    now = end;
}

const stubs = {
    WebSocket: fake_socket,
    setTimeout(call, delay) {
        timers.set(++last_timer, { call, time: now + delay });
        return last_timer;
    },
    clearTimeout: (id) => timers.delete(id),
};

const replaced = [];

function replace(object, name, value) {
    replaced.push([object, name, Object.getOwnPropertyDescriptor(object,
                                                                 name)]);
    Object.defineProperty(object, name, { value, configurable: true,
                                          writable: true });
}

function restore() {
    for (const [object, name, before] of replaced.reverse()) {
        if (before) {
            Object.defineProperty(object, name, before);
        } else {
            delete object[name];
        }
    }
}

const kinds = ["state", "welcome", "message", "presence", "gap", "caught_up",
               "fault"];

// One event in the text form that most tests compare.
function describe({ type, detail }) {
    switch (type) {
    case "state": return detail.state;
    case "message": return [detail.own ? "own" : "message", detail.id,
                            ...(detail.missed ? ["missed"] : [])].join(" ");
    case "gap": return `gap ${detail.cause} after ${detail.after}`;
    case "caught_up": return `caught up ${detail.messages} ${detail.complete}`;
    default: return type;
    }
}

async function run({ Room, RoomError, make, settled, events, server, sockets,
                     at, next, timers, replace }) {
    SCRIPT
}

(async () => {
    const { Room, RoomError } = await import("/client/index.js");
    const rooms = [];
    const make = (options, url = "wss://example.org/room/r") => {
        const room = new Room(url, { transport: "websocket", ...options });
        kinds.forEach((kind) => room.addEventListener(kind, (event) =>
            recorded.push(describe(event))));
        rooms.push(room);
        return room;
    };
    const settled = (promise) => promise.then(
        (id) => `as ${id}`,
        (error) => `${error instanceof RoomError && error.uncertain
            ? "perhaps" : "not"}: ${error.message}`);
    // The events since the last call.
    const events = () => recorded.splice(0);
    const server = () => sockets.at(-1);
    Object.entries(stubs).forEach(([name, value]) =>
        replace(globalThis, name, value));
    replace(performance, "now", () => now);
    replace(Math, "random", () => 0.5);
    const tools = { Room, RoomError, make, settled, events, server, sockets,
                    at, next, timers, replace };
    try {
        return { result: await run(tools) };
    } finally {
        rooms.forEach((room) => room.close());
        restore();
    }
})().catch((error) => ({ failure: `${error}\n${error.stack}` })).then(done);
