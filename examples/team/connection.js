// A lasting connection to the handler `rooms`, for browsers. It reconnects,
// detects dead connections, and renews its token; rooms.js adds the rooms.
//
// new Connection(url, options) connects at once; the options are those of
// `defaults` below. token() returns a promise of { token, expires_in }. It is
// called before each attempt, and again before the token ends, `expires_in`
// seconds later. If it rejects with an error whose `final` is true, the
// connection is closed for good; after other errors it is called again.
//
// Events, each with `detail`:
//
//   state    { state, ... }, when it changes: connecting; open; waiting for
//            the next attempt; suspended; closed, for good, with code, reason
//            and error. waiting has code, reason, was_open, and delay (ms)
//            unless the browser is offline
//   object   each object of the server that answers no request
//   fault    { message, frame }: the server sent what is no such object
//
// request(object) returns a promise of the answer. It rejects with a
// RequestError: with the server's reason; or as `uncertain`, if the connection
// broke before the answer. There must be a connection: see `can_send`.
//
// suspend() ends the connection, and resume() connects again. retry() skips the
// delay before the next attempt. close() ends all. A page that the browser
// keeps for its back button is suspended meanwhile.

const subprotocol = "rooms.v1.json";
const longest_timer = 2 ** 31 - 1; // ms

const defaults = {
    token: undefined,
    // ms. Each delay is a random part of a limit, which doubles with each
    // failure, so that clients do not reconnect all at once.
    first_delay: 500,
    longest_delay: 30_000,
    settled_after: 5000, // a connection this long resets the delay
    welcome_within: 20_000, // a longer attempt fails
    ping_after: 25_000, // without input
    pong_within: 10_000, // later the connection is dead
    answer_within: 30_000, // later the answer of a request is lost
    renew_before: 60_000, // the end of a token; at most half of its time
    final_codes: [1000], // status codes after which it does not reconnect
};

// A server that shuts down spreads its clients itself; after the end of a token
// a newer one is needed at once.
const codes_at_once = [1001, 3000];

export class RequestError extends Error {
    constructor(message, uncertain = false) {
        super(message);
        this.name = "RequestError";
        this.uncertain = uncertain;
    }
}

function absolute(url) {
    const address = new URL(url, location.href);
    address.protocol = { "http:": "ws:", "https:": "wss:" }[address.protocol]
        ?? address.protocol;
    return address;
}

// A machine without a network still reaches itself.
function is_offline({ hostname }) {
    return !navigator.onLine
        && !/^((.*\.)?localhost|127\.[\d.]+|\[::1\])$/.test(hostname);
}

function parsed(frame) {
    try {
        const object = JSON.parse(frame);
        return typeof object?.type === "string" ? object : undefined;
    } catch {
        return undefined;
    }
}

export class Connection extends EventTarget {
    #address;
    #options;
    #state = "suspended";
    #socket;
    #attempt = 0; // counts attempts; the results of earlier ones are ignored
    #opened_at;
    #timer; // of the next attempt, the welcome, or the next check
    #renewal; // the timer of the next token
    #received_at;
    #pings = 0; // since then
    #failures = 0; // attempts in a row that failed or did not last
    #page_left = false; // whether that suspended it
    #listeners = new AbortController();
    #requests = new Map(); // those without an answer, by ref
    #refs = 0;

    constructor(url, options = {}) {
        super();
        this.#address = absolute(url);
        this.#options = { ...defaults, ...options };
        this.#listen();
        this.#connect();
    }

    get state() { return this.#state; }

    // A closing socket discards messages.
    get can_send() {
        return this.#state === "open"
            && this.#socket.readyState === WebSocket.OPEN;
    }

    request(object) {
        if (!this.can_send) {
            return Promise.reject(new RequestError("there is no connection"));
        }
        const ref = ++this.#refs;
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => {
                this.#requests.delete(ref);
                reject(new RequestError("no answer came in time", true));
            }, this.#options.answer_within);
            this.#requests.set(ref, { resolve, reject, timer });
            this.#socket.send(JSON.stringify({ ...object, ref }));
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
        this.#end({ code: 1000, reason: "" });
    }

    // -- connecting --

    #listen() {
        const { signal } = this.#listeners;
        const on = (target, name, call) =>
            target.addEventListener(name, call, { signal });
        const wake = () => {
            this.retry(); // browsers delay the timers of hidden pages
            if (this.#state === "open" && this.#pings === 0) {
                this.#ping();
            }
        };
        on(globalThis, "online", wake);
        on(document, "visibilitychange", () => {
            if (document.visibilityState === "visible") {
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

    #emit(name, detail) {
        this.dispatchEvent(new CustomEvent(name, { detail }));
    }

    async #connect() {
        const attempt = ++this.#attempt;
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => {
            this.#lost(1006, "no welcome came in time");
        }, this.#options.welcome_within);
        this.#enter("connecting");
        try {
            const granted = await this.#options.token?.();
            if (attempt === this.#attempt) {
                this.#open(granted);
            }
        } catch (error) {
            if (attempt === this.#attempt) {
                this.#token_failed(error);
            }
        }
    }

    // nginx takes the token out of the offered subprotocols.
    #open(granted) {
        const offered = granted
            ? [subprotocol, `bearer.${granted.token}`] : [subprotocol];
        const socket = new WebSocket(this.#address, offered);
        const listen = (name, call) => socket.addEventListener(name, (event) =>
            socket === this.#socket && call(event));
        this.#socket = socket;
        listen("message", ({ data }) => this.#received(data, granted));
        listen("close", ({ code, reason }) => this.#lost(code, reason));
    }

    #token_failed(error) {
        if (error.final) {
            this.#end({ error, code: 1000, reason: error.message });
        } else {
            this.#lost(1006, error.message);
        }
    }

    // The close event may come before close() returns: #socket must not be the
    // socket then.
    #disconnect() {
        const socket = this.#socket;
        const requests = [...this.#requests.values()];
        clearTimeout(this.#timer);
        clearTimeout(this.#renewal);
        this.#attempt++;
        this.#pings = 0;
        this.#socket = undefined;
        this.#requests.clear();
        socket?.close(1000);
        for (const { timer, reject } of requests) {
            clearTimeout(timer);
            reject(new RequestError("the connection was lost before the answer",
                                    true));
        }
    }

    #lost(code, reason) {
        const { first_delay, longest_delay, settled_after, final_codes }
            = this.#options;
        const was_open = this.#state === "open";
        if (final_codes.includes(code)) {
            this.#end({ code, reason });
            return;
        }
        this.#disconnect();
        if (was_open && performance.now() - this.#opened_at >= settled_after) {
            this.#failures = 0;
        }
        const at_once = codes_at_once.includes(code) && was_open
            && this.#failures === 0;
        const delay = at_once ? 0 : Math.random()
            * Math.min(longest_delay, first_delay * 2 ** this.#failures);
        const why = { code, reason, was_open };
        this.#failures++;
        if (is_offline(this.#address)) {
            this.#enter("waiting", why); // until the event "online"
            return;
        }
        this.#timer = setTimeout(() => this.#connect(), delay);
        this.#enter("waiting", { ...why, delay });
    }

    #end(why) {
        if (this.#state !== "closed") {
            this.#disconnect();
            this.#listeners.abort();
            this.#enter("closed", why);
        }
    }

    // -- detection of dead connections --

    #schedule_check(due) {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#check_connection(due),
                                 Math.max(0, due - performance.now()));
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

    // -- the token --

    // A random time before the end, so that clients do not renew all at once.
    #schedule_renewal(expires_in) {
        const life = expires_in * 1000;
        const lead = Math.min(this.#options.renew_before, life / 2)
            * (1 + Math.random() / 4);
        clearTimeout(this.#renewal);
        this.#renewal = setTimeout(() => this.#renew(),
                                   Math.min(life - lead, longest_timer));
    }

    // Without a newer token the server closes the connection in the end.
    async #renew() {
        const attempt = this.#attempt;
        try {
            const { token, expires_in } = await this.#options.token();
            if (attempt === this.#attempt) {
                await this.request({ token });
                this.#schedule_renewal(expires_in);
            }
        } catch (error) {
            if (attempt === this.#attempt && error.final) {
                this.#token_failed(error);
            } else if (attempt === this.#attempt) {
                this.#renewal = setTimeout(() => this.#renew(),
                                           this.#options.first_delay
                                           * (1 + 9 * Math.random()));
            }
        }
    }

    // -- objects of the server --

    #received(frame, granted) {
        const object = parsed(frame);
        this.#received_at = performance.now();
        if (this.#pings > 0) {
            this.#pings = 0;
            this.#schedule_check(this.#received_at + this.#options.ping_after);
        }
        if (!object) {
            this.#emit("fault", { message: "unexpected message", frame });
        } else if (object.type === "welcome") {
            this.#welcomed(object, granted);
        } else if (this.#requests.has(object.ref)) {
            this.#answered(object);
        } else if (object.type !== "pong") {
            this.#emit("object", object);
        }
    }

    #welcomed(object, granted) {
        this.#opened_at = performance.now();
        this.#schedule_check(this.#opened_at + this.#options.ping_after);
        if (granted?.expires_in !== undefined) {
            this.#schedule_renewal(granted.expires_in);
        }
        this.#enter("open");
        this.#emit("object", object);
    }

    #answered(object) {
        const { resolve, reject, timer } = this.#requests.get(object.ref);
        this.#requests.delete(object.ref);
        clearTimeout(timer);
        if (object.type === "error") {
            reject(new RequestError(object.message));
        } else {
            resolve(object);
        }
    }
}
