// Room: a client of the handler `room` for web pages. One file, no
// dependencies: take it as it is.
//
//     import { Room } from "./room.js";
//
//     const room = new Room("/room/lobby", { history: 50 });
//     room.addEventListener("message", ({ detail }) =>
//         console.log(detail.from, detail.data));
//     room.publish("hello").then((id) => console.log("published as", id));
//
// It speaks the subprotocol room.v1.json. When the connection is lost it
// connects again and goes on behind the last message that it had: no message
// comes twice, and where some could not be had there is a `gap`, never silence.
//
// new Room(url, options) connects at once. The url may be relative to the page;
// the options are those of `defaults` below. Events, each with `detail`:
//
//   state      { state, ... }, when it changes: connecting; open; waiting for
//              the next attempt, with delay (ms) and at (as Date.now() counts),
//              neither while the browser is offline, code and reason of the
//              Close, and was_open: false if it was an attempt that failed;
//              suspended; closed, for good, with code and reason
//   welcome    { client, room, clients, last, resumed, recovered }: connected.
//              client: the id of this connection; resumed: it had ids before
//   message    { id, time, from, data, own, missed }. time: ms; from: a
//              client's id, or null; data: a string, or a Uint8Array of what
//              was published as binary; own: published by this object, over
//              whichever connection; missed: older than this connection
//   presence   { type, client, clients }: "joined" or "left", where the room
//              has presence=on. client null: it is not known who, or how many
//   gap        { cause, after }: behind the message with the id `after` some
//              are missing, or may be. cause: "resume", the room has them no
//              more or was started anew; "slow", the server had to drop them;
//              "missing", an id was left out
//   caught_up  { messages, complete }: so many came that are older than this
//              connection. complete: there was no gap among them
//   fault      { message, frame }: the server sent what the protocol does not
//              have, or an error that answers nothing; all goes on
//
// Properties: state, client, clients, and last: the last message's id.
//
// publish(text) returns a promise of the message's id. Text that is published
// while there is no connection waits for one. What was sent, and not answered
// when the connection broke, is never sent again, as it may have arrived: if it
// is among the messages that the resume brings, the promise resolves as ever,
// else it is rejected with `uncertain`: the room may have it all the same. So it
// is too when a connection has lasted for `answer_within` without an answer.
// Any other RoomError says that the room has not, in the server's words.
//
// Browsers do not tell that a connection is dead. When nothing has come for
// `ping_after` the server is asked; if then nothing comes within `pong_within`
// the connection is given up, and the room connects again.
//
// suspend() ends the connection and resume() brings it back, with all that was
// missed. retry() ends the delay before the next attempt, close() all.
//
// In a room with self=off own messages come only among those of a resume. Pages
// that the browser keeps for the way back are suspended meanwhile. It works
// outside of pages too: in workers, and wherever there is WebSocket.

const subprotocol = "room.v1.json";
const unanswered = "the connection was lost before the answer";
const no_answer = "no answer came in time";

// Node 18 has none.
const detailed_event = globalThis.CustomEvent ?? class extends Event {
    constructor(name, { detail }) {
        super(name);
        this.detail = detail;
    }
};

const defaults = {
    history: 0, // how many of the latest messages to get on joining; Infinity
    since: undefined, // instead, an id: what came after it
    // ms. The bound of a delay, which doubles from the first on; each delay is
    // a random part of it, so that not all come back at once.
    first_delay: 500,
    longest_delay: 30_000,
    settled_after: 5000, // ms: after a connection that long it is as the first
    welcome_within: 20_000, // ms: an attempt that takes longer has failed
    ping_after: 25_000, // ms without anything received; Infinity: never
    pong_within: 10_000, // ms: else the connection is dead
    answer_within: 30_000, // ms: see publish(), above; Infinity: however late
    most_waiting: 100, // messages that may wait for a connection
    final_codes: [1000], // of a Close of the server after which all ends
};

export class RoomError extends Error {
    constructor(message, uncertain = false) {
        super(message);
        this.name = "RoomError";
        this.uncertain = uncertain;
    }
}

// Epochs are 64 bits wide: more than a number holds.
function parse_id(text) {
    const parts = /^(\d+)-(\d+)$/.exec(text);
    return parts && { epoch: parts[1], number: Number(parts[2]) };
}

function id_text({ epoch, number }) {
    return `${epoch}-${number}`;
}

// The server takes JSON in UTF-8, which has no half of a surrogate pair.
function well_formed(text) {
    return text.toWellFormed?.() ?? text.replace(/\p{Surrogate}/gu, "\ufffd");
}

// Of a message; undefined if there is none.
function payload({ data, base64 }) {
    if (typeof data === "string") {
        return data;
    }
    try {
        return Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
    } catch {
        return undefined;
    }
}

function parsed(frame) {
    try {
        return JSON.parse(frame);
    } catch {
        return undefined;
    }
}

function absolute(url) {
    const address = new URL(url, globalThis.location?.href);
    address.protocol = { "http:": "ws:", "https:": "wss:" }[address.protocol]
        ?? address.protocol;
    address.hash = "";
    return address;
}

// A machine without a network reaches itself.
function is_offline({ hostname }) {
    return globalThis.navigator?.onLine === false
        && !/^((.*\.)?localhost|127\.[\d.]+|\[::1\])$/.test(hostname);
}

export class Room extends EventTarget {
    #address;
    #options;
    #state = "suspended";
    #socket;
    #opened_at; // when this connection was welcomed
    #timer; // of the next attempt, of the welcome, or of the next look whether
    // the connection lives
    #heard_at; // when something came last
    #pings = 0; // since then
    #failures = 0; // attempts in a row after which it did not hold
    #left = false; // suspended because the page was left
    #listening = new AbortController();

    #client;
    #own_clients = new Set(); // ids of this and of former connections
    #clients;

    // Undefined until the first welcome, or { epoch, number }: what has come
    // or is not wanted.
    #seen;
    #holes_until = 0; // up to this number ids may be skipped
    #goal; // the number of the last message to catch up with, or undefined
    #caught = { messages: 0, complete: true };

    // What was published and is not settled, in order, by ref. `client` is the
    // id of the connection that sent it.
    #pending = new Map();
    #refs = 0;
    #waiting = 0; // those that no connection has sent
    #acknowledged = new Set(); // numbers of own messages that have not come

    constructor(url, options = {}) {
        super();
        this.#address = absolute(url);
        this.#options = { ...defaults, ...options };
        if (this.#options.since !== undefined) {
            this.#seen = parse_id(this.#options.since);
            if (!this.#seen) {
                throw new TypeError(`no id: ${this.#options.since}`);
            }
        }
        this.#connect();
        this.#listen();
    }

    get state() { return this.#state; }
    get client() { return this.#client; }
    get clients() { return this.#clients; }
    get last() { return this.#seen && id_text(this.#seen); }

    publish(text) {
        if (typeof text !== "string") {
            return Promise.reject(new TypeError("publish() takes a string"));
        }
        if (this.#state === "closed") {
            return Promise.reject(new RoomError("the room is closed"));
        }
        if (!this.#can_send && this.#waiting >= this.#options.most_waiting) {
            return Promise.reject(
                new RoomError("too many messages wait for a connection"));
        }
        const ref = ++this.#refs;
        return new Promise((resolve, reject) => {
            const entry = { data: well_formed(text), resolve, reject };
            this.#pending.set(ref, entry);
            this.#waiting++;
            this.#send(ref, entry);
            this.#await_answer(ref, entry);
        });
    }

    suspend() {
        if (this.#state !== "closed" && this.#state !== "suspended") {
            this.#disconnect();
            this.#enter("suspended");
        }
    }

    resume() {
        if (this.#state === "suspended") {
            this.#failures = 0;
            this.#connect();
        }
    }

    retry() {
        if (this.#state === "waiting") {
            this.#connect();
        }
    }

    close() {
        if (this.#state !== "closed") {
            this.#disconnect();
            this.#end({ code: 1000, reason: "" });
        }
    }

    // -- the connection --

    #listen() {
        const { signal } = this.#listening;
        const on = (target, name, call) =>
            target?.addEventListener?.(name, call, { signal });
        const page = globalThis.document;
        const wake = () => {
            this.retry(); // timers of hidden pages are late
            if (this.#state === "open" && this.#pings === 0) {
                this.#ask();
            }
        };
        on(globalThis, "online", wake);
        on(page, "visibilitychange", () => {
            if (page.visibilityState === "visible") {
                wake();
            }
        });
        on(globalThis, "pagehide", () => {
            this.#left ||= !["suspended", "closed"].includes(this.#state);
            this.suspend();
        });
        on(globalThis, "pageshow", () => {
            if (this.#left) {
                this.#left = false;
                this.resume();
            }
        });
    }

    #enter(state, more = {}) {
        this.#state = state;
        this.#tell("state", { state, ...more });
    }

    // One who was told of something may have ended the connection.
    #tell(name, detail) {
        if (name === "state" || this.#socket) {
            this.dispatchEvent(new detailed_event(name, { detail }));
        }
    }

    // Where history is wanted it is asked for as a whole: which ids are the
    // latest is known when the welcome comes.
    #connect() {
        clearTimeout(this.#timer);
        const address = new URL(this.#address);
        if (this.#seen) {
            address.searchParams.set("since", id_text(this.#seen));
        } else if (this.#options.history > 0) {
            address.searchParams.set("since", "0");
        }
        const socket = new WebSocket(address, subprotocol);
        const listen = (name, call) => socket.addEventListener(name, (event) =>
            socket === this.#socket && call(event));
        this.#socket = socket;
        listen("message", ({ data }) => this.#received(data));
        listen("close", ({ code, reason }) => this.#lost(code, reason));
        // The close follows, save in Node 20. npm's ws throws an error that
        // nobody listens to, also of a socket that is given up.
        socket.addEventListener("error", () => setTimeout(() =>
            socket === this.#socket && this.#lost(1006, "")));
        this.#timer = setTimeout(() => {
            this.#lost(1006, "no welcome came in time");
        }, this.#options.welcome_within);
        this.#enter("connecting");
    }

    // A socket may tell of its close before close() returns: by then it is
    // none of this room's.
    #disconnect() {
        const socket = this.#socket;
        clearTimeout(this.#timer);
        this.#pings = 0;
        this.#pending.forEach(({ timer }) => clearTimeout(timer));
        this.#goal = undefined;
        this.#socket = undefined;
        socket?.close(1000);
    }

    #lost(code, reason) {
        const { first_delay, longest_delay, settled_after, final_codes }
            = this.#options;
        const was_open = this.#state === "open";
        this.#disconnect();
        if (final_codes.includes(code)) {
            this.#end({ code, reason });
            return;
        }
        if (was_open && performance.now() - this.#opened_at >= settled_after) {
            this.#failures = 0;
        }
        // The server that goes away spreads its clients by itself.
        const at_once = code === 1001 && was_open && this.#failures === 0;
        const delay = at_once ? 0 : Math.random()
            * Math.min(longest_delay, first_delay * 2 ** this.#failures);
        this.#failures++;
        this.#wait(delay, { code, reason, was_open });
    }

    #wait(delay, why) {
        if (is_offline(this.#address)) {
            this.#enter("waiting", why);
            return;
        }
        this.#timer = setTimeout(() => this.#connect(), delay);
        this.#enter("waiting", { ...why, delay, at: Date.now() + delay });
    }

    // -- whether the connection lives --

    #heard() {
        this.#heard_at = performance.now();
        if (this.#pings > 0) {
            this.#pings = 0;
            this.#look_at(this.#heard_at + this.#options.ping_after);
        }
    }

    #look_at(due) {
        clearTimeout(this.#timer);
        if (due !== Infinity) {
            this.#timer = setTimeout(() => this.#look(due),
                                     Math.max(0, due - performance.now()));
        }
    }

    // A page that was frozen may find the answer only after its timer: then
    // the server is asked once more.
    #look(due) {
        const { ping_after, pong_within } = this.#options;
        const now = performance.now();
        if (this.#pings === 0 && now - this.#heard_at < ping_after) {
            this.#look_at(this.#heard_at + ping_after);
        } else if (this.#pings === 0
            || (this.#pings === 1 && now - due > pong_within)) {
            this.#ask();
        } else {
            this.#lost(1006, "no answer to a ping");
        }
    }

    #ask() {
        this.#pings++;
        this.#socket.send(JSON.stringify({ ping: 1 }));
        this.#look_at(performance.now() + this.#options.pong_within);
    }

    #end(why) {
        this.#listening.abort();
        this.#reject(() => true, "the room was closed");
        this.#enter("closed", why);
    }

    // -- what the server says --

    #received(frame) {
        this.#heard();
        const said = parsed(frame);
        const takes = {
            welcome: this.#welcomed, message: this.#message, gap: this.#gap,
            joined: this.#presence, left: this.#presence,
            published: this.#published, error: this.#error,
        };
        const type = said?.type;
        const wanted = this.#state === "open" || type === "welcome";
        const known = wanted && Object.hasOwn(takes, type);
        if (typeof type !== "string"
            || (known && takes[type].call(this, said) === false)) {
            this.#tell("fault", { message: "not as the protocol has it",
                                  frame });
        }
    }

    #welcomed({ client, room, clients, last, recovered }) {
        const end = parse_id(last);
        if (!end || this.#state !== "connecting") {
            return false;
        }
        this.#opened_at = performance.now();
        this.#look_at(this.#opened_at + this.#options.ping_after);
        this.#client = client;
        this.#clients = clients;
        const resumed = this.#seen !== undefined;
        const after = this.last;
        const lost = this.#go_on(end, recovered);
        this.#own_clients.add(client);
        this.#goal = end.number;
        this.#caught = { messages: 0, complete: !lost };
        this.#enter("open");
        this.#tell("welcome", { client, room, clients, last, resumed,
                                recovered });
        if (lost) {
            this.#reject(({ client: by }) => by !== undefined, unanswered);
            this.#tell("gap", { cause: "resume", after });
        }
        this.#pending.forEach((entry, ref) => {
            this.#send(ref, entry);
            this.#await_answer(ref, entry);
        });
        this.#look_whether_caught_up();
        return true;
    }

    // Sets what comes next; true if what was missed is lost.
    #go_on(end, recovered) {
        const seen = this.#seen;
        if (!seen) {
            const wanted = Math.min(this.#options.history, end.number);
            this.#seen = { ...end, number: end.number - wanted };
            this.#holes_until = end.number;
            return false;
        }
        if (seen.epoch !== end.epoch) {
            // The server may be a new one, which numbers its clients anew.
            this.#seen = { ...end, number: 0 };
            this.#holes_until = end.number;
            this.#own_clients.clear();
            this.#acknowledged.clear();
            return true;
        }
        // If the history of the first welcome had not come, the ids tell.
        if (recovered || seen.number < this.#holes_until) {
            return false;
        }
        this.#holes_until = end.number;
        return true;
    }

    #message(said) {
        const id = parse_id(said.id);
        const data = payload(said);
        if (!id || data === undefined) {
            return false;
        }
        const { time, from = null } = said;
        if (id.epoch === this.#seen.epoch && id.number <= this.#seen.number) {
            return true; // it came before, or is older than what was wanted
        }
        if (id.epoch !== this.#seen.epoch || this.#is_hole_before(id.number)) {
            this.#holes_until = id.number;
            this.#miss("missing");
        }
        const missed = id.number <= this.#goal;
        this.#caught.messages += missed ? 1 : 0;
        this.#look_whether_caught_up(!missed);
        this.#seen = id;
        if (this.#holes_until === Infinity) {
            this.#holes_until = id.number;
        }
        const own = this.#own_clients.has(from);
        const published = own && !this.#acknowledged.delete(id.number)
            ? this.#take_published(from, data) : undefined;
        this.#tell("message", { id: said.id, time, from, data, own, missed });
        published?.resolve(said.id);
        this.#look_whether_caught_up();
        return true;
    }

    // With self=off own messages do not come: their numbers are no hole.
    #is_hole_before(number) {
        let next = Math.max(this.#seen.number, this.#holes_until) + 1;
        while (next < number && this.#acknowledged.delete(next)) {
            next++;
        }
        return next < number;
    }

    #miss(cause) {
        this.#caught.complete = false;
        this.#tell("gap", { cause, after: this.last });
    }

    #gap() {
        this.#holes_until = Infinity; // as far as the next message
        this.#miss("slow");
    }

    #presence({ type, client, clients }) {
        this.#clients = clients;
        // Those who have not caught up are not told who comes and goes.
        this.#look_whether_caught_up(true);
        this.#tell("presence", { type, client, clients });
    }

    #look_whether_caught_up(sure = this.#seen.number >= this.#goal) {
        if (sure && this.#goal !== undefined) {
            this.#goal = undefined;
            this.#reject(({ client }) => client !== undefined
                && client !== this.#client, unanswered);
            this.#tell("caught_up", { ...this.#caught });
        }
    }

    // -- publishing --

    // While the socket closes it takes messages and throws them away.
    get #can_send() {
        return this.#state === "open"
            && this.#socket.readyState === WebSocket.OPEN;
    }

    #send(ref, entry) {
        if (this.#can_send && entry.client === undefined) {
            entry.client = this.#client;
            this.#waiting--;
            this.#socket.send(JSON.stringify({ data: entry.data, ref }));
        }
    }

    // What was sent is answered, or brought by the resume, in time.
    #await_answer(ref, entry) {
        const { answer_within } = this.#options;
        if (entry.client !== undefined && this.#state === "open"
            && answer_within !== Infinity) {
            entry.timer = setTimeout(
                () => this.#reject((each) => each === entry, no_answer),
                answer_within);
        }
    }

    #take(ref) {
        const taken = this.#pending.get(ref);
        this.#pending.delete(ref);
        clearTimeout(taken?.timer);
        return taken;
    }

    // Answers come in the order of the messages, so that of several with the
    // same text the first is the one.
    #take_published(from, data) {
        for (const [ref, { client, data: sent }] of this.#pending) {
            if (client === from && sent === data) {
                return this.#take(ref);
            }
        }
        return undefined;
    }

    #published({ ref, id }) {
        const given = parse_id(id);
        if (!given) {
            return false;
        }
        if (given.epoch === this.#seen.epoch
            && given.number > this.#seen.number) {
            this.#acknowledged.add(given.number);
        }
        this.#take(ref)?.resolve(id);
        return true;
    }

    #error({ ref, message }) {
        const refused = this.#take(ref);
        if (refused) {
            refused.reject(new RoomError(message));
        } else {
            this.#tell("fault", { message });
        }
    }

    #reject(which, words) {
        for (const [ref, each] of this.#pending) {
            if (which(each)) {
                this.#take(ref);
                each.reject(new RoomError(words, each.client !== undefined));
            }
        }
    }
}
