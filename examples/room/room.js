// A client of the handler `room`, for browsers and Node. It is one file without
// dependencies, to be used as it is.
//
//     import { Room } from "./room.js";
//
//     const room = new Room("/room/lobby", { history: 50 });
//     room.addEventListener("message", ({ detail }) =>
//         console.log(detail.from, detail.data));
//     room.publish("hello").then((id) => console.log("published as", id));
//
// It uses the subprotocol room.v1.json. After a lost connection it reconnects
// and continues after the last message that it received. No message comes
// twice, and each loss is reported by a `gap`.
//
// new Room(url, options) connects at once. The url may be relative to the page;
// the options are those of `defaults` below. Events, each with `detail`:
//
//   state      { state, ... }, when it changes: connecting; open; waiting for
//              the next attempt; suspended; closed, for good, with code and
//              reason. waiting has delay (ms) and at (like Date.now()), neither
//              while the browser is offline, code and reason of the Close, and
//              was_open: false if an attempt failed
//   welcome    { client, room, clients, last, resumed, recovered }: connected.
//              client: the id of this connection; resumed: it had ids before
//   message    { id, time, from, data, own, missed }. time: ms; from: a
//              client's id, or null; data: a string, or a Uint8Array if it was
//              published as binary; own: published by this object, over any
//              connection; missed: older than this connection
//   presence   { type, client, clients }: "joined" or "left", if the room has
//              presence=on. client null: unknown, or several clients
//   gap        { cause, after }: after the message with the id `after` some are
//              missing, or may be. cause: "resume", the room no longer has them
//              or has begun again; "slow", the server dropped them; "missing",
//              an id was skipped
//   caught_up  { messages, complete }: the number of messages received that are
//              older than this connection. complete: without a gap
//   fault      { message, frame }: the server sent an unexpected message, or an
//              error without a request; the connection continues
//
// Properties: state, client, clients, and last: the last message's id.
//
// publish(text) returns a promise of the message's id. Without a connection the
// text waits for one. A message that was sent but not answered when the
// connection broke is not sent again, because it may have arrived. If the
// resume brings it, its promise resolves; else it is rejected as `uncertain`.
// It is also rejected so if a connection lasts for `answer_within` without an
// answer. Any other RoomError has the server's reason, and the room has not got
// the message.
//
// Browsers do not report a dead connection. If nothing is received for
// `ping_after`, the client sends a ping. If nothing is received within
// `pong_within` after it, the client abandons the connection and reconnects.
//
// suspend() ends the connection; resume() connects again and gets the missed
// messages. retry() skips the delay before the next attempt, close() ends all.
//
// In a room with self=off own messages come only with a resume. A page that the
// browser keeps for its back button is suspended meanwhile. The class also
// works in workers, and wherever WebSocket exists.

const subprotocol = "room.v1.json";
const unanswered = "the connection was lost before the answer";
const no_answer = "no answer came in time";

// Node 18 has no CustomEvent.
const detailed_event = globalThis.CustomEvent ?? class extends Event {
    constructor(name, { detail }) {
        super(name);
        this.detail = detail;
    }
};

const defaults = {
    history: 0, // how many of the latest messages to get first; or Infinity
    since: undefined, // or the id after which messages are wanted
    // ms. Each delay is a random part of a limit, which doubles with each
    // failure, so that clients do not reconnect all at once.
    first_delay: 500,
    longest_delay: 30_000,
    settled_after: 5000, // ms: a connection this long resets the delay
    welcome_within: 20_000, // ms: a longer attempt fails
    ping_after: 25_000, // ms without input; Infinity: never
    pong_within: 10_000, // ms: later the connection is dead
    answer_within: 30_000, // ms: see publish(), above; Infinity: no limit
    most_waiting: 100, // messages that may wait for a connection
    final_codes: [1000], // status codes after which it does not reconnect
};

export class RoomError extends Error {
    constructor(message, uncertain = false) {
        super(message);
        this.name = "RoomError";
        this.uncertain = uncertain;
    }
}

// Epochs have 64 bits, more than a number holds.
function parse_id(text) {
    const parts = /^(\d+)-(\d+)$/.exec(text);
    return parts && { epoch: parts[1], number: Number(parts[2]) };
}

function id_text({ epoch, number }) {
    return `${epoch}-${number}`;
}

// JSON in UTF-8 has no lone surrogates.
function well_formed(text) {
    return text.toWellFormed?.() ?? text.replace(/\p{Surrogate}/gu, "\ufffd");
}

// The payload of a message, or undefined.
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

// A machine without a network still reaches itself.
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
    #timer; // of the next attempt, the welcome, or the next check
    #received_at; // when something was received last
    #pings = 0; // since then
    #failures = 0; // attempts in a row that failed or did not last
    #page_left = false; // whether that suspended it
    #listeners = new AbortController();

    #client;
    #own_clients = new Set(); // ids of this and of former connections
    #clients;

    // The last message received or not wanted: { epoch, number }, or undefined
    // until the first welcome.
    #seen;
    #gaps_allowed_until = 0; // ids up to this number may be skipped
    #catch_up_until; // the number of the last missed message, or undefined
    #catch_up = { messages: 0, complete: true };

    // Publications without a result, in order, by ref. `client` is the id of
    // the connection that sent them.
    #pending = new Map();
    #refs = 0;
    #waiting = 0; // the number of those not sent
    #acknowledged = new Set(); // numbers of own messages not yet received

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
            this.#start_answer_timer(ref, entry);
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
        const { signal } = this.#listeners;
        const on = (target, name, call) =>
            target?.addEventListener?.(name, call, { signal });
        const page = globalThis.document;
        const wake = () => {
            this.retry(); // browsers delay the timers of hidden pages
            if (this.#state === "open" && this.#pings === 0) {
                this.#ping();
            }
        };
        on(globalThis, "online", wake);
        on(page, "visibilitychange", () => {
            if (page.visibilityState === "visible") {
                wake();
            }
        });
        on(globalThis, "pagehide", () => {
            this.#page_left ||= !["suspended", "closed"].includes(this.#state);
            this.suspend();
        });
        on(globalThis, "pageshow", () => {
            if (this.#page_left) {
                this.#page_left = false;
                this.resume();
            }
        });
    }

    #enter(state, more = {}) {
        this.#state = state;
        this.#emit("state", { state, ...more });
    }

    // A listener may have ended the connection.
    #emit(name, detail) {
        if (name === "state" || this.#socket) {
            this.dispatchEvent(new detailed_event(name, { detail }));
        }
    }

    // Requests the whole history: the welcome has the id of the last message,
    // by which older ones than wanted are skipped.
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
        listen("message", ({ data }) => this.#on_message(data));
        listen("close", ({ code, reason }) => this.#lost(code, reason));
        // A close event follows, except in Node 20. npm's ws throws errors
        // without a listener, also those of an abandoned socket.
        socket.addEventListener("error", () => setTimeout(() =>
            socket === this.#socket && this.#lost(1006, "")));
        this.#timer = setTimeout(() => {
            this.#lost(1006, "no welcome came in time");
        }, this.#options.welcome_within);
        this.#enter("connecting");
    }

    // The close event may come before close() returns: #socket must not be the
    // socket then.
    #disconnect() {
        const socket = this.#socket;
        clearTimeout(this.#timer);
        this.#pings = 0;
        this.#pending.forEach(({ timer }) => clearTimeout(timer));
        this.#catch_up_until = undefined;
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
        // A server that shuts down spreads its clients itself.
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

    // -- detection of dead connections --

    #note_received() {
        this.#received_at = performance.now();
        if (this.#pings > 0) {
            this.#pings = 0;
            this.#schedule_check(this.#received_at + this.#options.ping_after);
        }
    }

    #schedule_check(due) {
        clearTimeout(this.#timer);
        if (due !== Infinity) {
            this.#timer = setTimeout(() => this.#check_connection(due),
                                     Math.max(0, due - performance.now()));
        }
    }

    // A frozen page may process the answer after its timer: so a late check
    // sends a second ping.
    #check_connection(due) {
        const { ping_after, pong_within } = this.#options;
        const now = performance.now();
        if (this.#pings === 0 && now - this.#received_at < ping_after) {
            this.#schedule_check(this.#received_at + ping_after);
        } else if (this.#pings === 0
            || (this.#pings === 1 && now - due > pong_within)) {
            this.#ping();
        } else {
            this.#lost(1006, "no answer to a ping");
        }
    }

    #ping() {
        this.#pings++;
        this.#socket.send(JSON.stringify({ ping: 1 }));
        this.#schedule_check(performance.now() + this.#options.pong_within);
    }

    #end(why) {
        this.#listeners.abort();
        this.#reject(() => true, "the room was closed");
        this.#enter("closed", why);
    }

    // -- messages of the server --

    #on_message(frame) {
        this.#note_received();
        const object = parsed(frame);
        const methods = {
            welcome: this.#welcomed, message: this.#message, gap: this.#gap,
            joined: this.#presence, left: this.#presence,
            published: this.#published, error: this.#error,
        };
        const type = object?.type;
        const wanted = this.#state === "open" || type === "welcome";
        const known = wanted && Object.hasOwn(methods, type);
        if (typeof type !== "string"
            || (known && methods[type].call(this, object) === false)) {
            this.#emit("fault", { message: "unexpected message",
                                  frame });
        }
    }

    #welcomed({ client, room, clients, last, recovered }) {
        const end = parse_id(last);
        if (!end || this.#state !== "connecting") {
            return false;
        }
        this.#opened_at = performance.now();
        this.#schedule_check(this.#opened_at + this.#options.ping_after);
        this.#client = client;
        this.#clients = clients;
        const resumed = this.#seen !== undefined;
        const after = this.last;
        const lost = this.#set_position(end, recovered);
        this.#own_clients.add(client);
        this.#catch_up_until = end.number;
        this.#catch_up = { messages: 0, complete: !lost };
        this.#enter("open");
        this.#emit("welcome", { client, room, clients, last, resumed,
                                recovered });
        if (lost) {
            this.#reject(({ client: by }) => by !== undefined, unanswered);
            this.#emit("gap", { cause: "resume", after });
        }
        this.#pending.forEach((entry, ref) => {
            this.#send(ref, entry);
            this.#start_answer_timer(ref, entry);
        });
        this.#check_caught_up();
        return true;
    }

    // Sets the position after which messages are new. True if missed messages
    // are lost.
    #set_position(end, recovered) {
        const seen = this.#seen;
        if (!seen) {
            const wanted = Math.min(this.#options.history, end.number);
            this.#seen = { ...end, number: end.number - wanted };
            this.#gaps_allowed_until = end.number;
            return false;
        }
        if (seen.epoch !== end.epoch) {
            // The server may be another one, with other ids of clients.
            this.#seen = { ...end, number: 0 };
            this.#gaps_allowed_until = end.number;
            this.#own_clients.clear();
            this.#acknowledged.clear();
            return true;
        }
        // Before the first history has arrived, skipped ids show a loss.
        if (recovered || seen.number < this.#gaps_allowed_until) {
            return false;
        }
        this.#gaps_allowed_until = end.number;
        return true;
    }

    #message(object) {
        const id = parse_id(object.id);
        const data = payload(object);
        if (!id || data === undefined) {
            return false;
        }
        const { time, from = null } = object;
        if (id.epoch === this.#seen.epoch && id.number <= this.#seen.number) {
            return true; // a duplicate, or older than wanted
        }
        if (id.epoch !== this.#seen.epoch || this.#is_gap_before(id.number)) {
            this.#gaps_allowed_until = id.number;
            this.#report_gap("missing");
        }
        const missed = id.number <= this.#catch_up_until;
        this.#catch_up.messages += missed ? 1 : 0;
        this.#check_caught_up(!missed);
        this.#seen = id;
        if (this.#gaps_allowed_until === Infinity) {
            this.#gaps_allowed_until = id.number;
        }
        const own = this.#own_clients.has(from);
        const published = own && !this.#acknowledged.delete(id.number)
            ? this.#take_published(from, data) : undefined;
        this.#emit("message", { id: object.id, time, from, data, own, missed });
        published?.resolve(object.id);
        this.#check_caught_up();
        return true;
    }

    // With self=off own messages do not come: their numbers are no gap.
    #is_gap_before(number) {
        let next = Math.max(this.#seen.number, this.#gaps_allowed_until) + 1;
        while (next < number && this.#acknowledged.delete(next)) {
            next++;
        }
        return next < number;
    }

    #report_gap(cause) {
        this.#catch_up.complete = false;
        this.#emit("gap", { cause, after: this.last });
    }

    #gap() {
        this.#gaps_allowed_until = Infinity; // until the next message
        this.#report_gap("slow");
    }

    #presence({ type, client, clients }) {
        this.#clients = clients;
        // The server sends presence only to clients that have caught up.
        this.#check_caught_up(true);
        this.#emit("presence", { type, client, clients });
    }

    #check_caught_up(sure = this.#seen.number >= this.#catch_up_until) {
        if (sure && this.#catch_up_until !== undefined) {
            this.#catch_up_until = undefined;
            this.#reject(({ client }) => client !== undefined
                && client !== this.#client, unanswered);
            this.#emit("caught_up", { ...this.#catch_up });
        }
    }

    // -- publishing --

    // A closing socket discards messages.
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

    // Rejects a sent message that gets no answer in time.
    #start_answer_timer(ref, entry) {
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

    // Answers come in the order of the messages: of several with the same text
    // the first one is meant.
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
            this.#emit("fault", { message });
        }
    }

    #reject(which, reason) {
        for (const [ref, each] of this.#pending) {
            if (which(each)) {
                this.#take(ref);
                each.reject(new RoomError(reason, each.client !== undefined));
            }
        }
    }
}
