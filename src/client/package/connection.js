// A lasting connection for one Room or Rooms: it reconnects, detects dead
// connections, renews its token, and falls back to an event stream.

import { RoomError, parsed } from "./shared.js";
import { WebSocketLink } from "./websocket.js";

const longest_timer = 2 ** 31 - 1; // ms

// A server that shuts down spreads its clients itself; after the end of a token
// a newer one is needed at once.
const codes_at_once = [1001, 3000];

const defaults = {
    // ms. Each delay is a random part of a limit, which doubles with each
    // failure, so that clients do not reconnect all at once.
    first_delay: 500,
    longest_delay: 30_000,
    settled_after: 5000, // ms: a connection this long resets the delay
    welcome_within: 20_000, // ms: a longer attempt fails
    ping_after: 25_000, // ms without input; Infinity: never
    pong_within: 10_000, // ms: later the connection is dead
    answer_within: 30_000, // ms: later the answer of a request is lost
    renew_before: 60_000, // ms before a token ends; at most half of its time
    final_codes: [1000], // status codes after which it does not reconnect
};

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

// The seconds until a token ends, or undefined. A clock that is wrong must not
// request tokens without end.
function life_of(token) {
    const [, claims = ""] = token.split(".");
    try {
        const { exp } = JSON.parse(atob(claims.replace(/-/g, "+")
            .replace(/_/g, "/")));
        return exp && Math.max(10, exp - Date.now() / 1000);
    } catch {
        return undefined;
    }
}

// The callback of a page may return a token, or one with its time.
function granted_by(answer) {
    const { token, expires_in } = typeof answer === "string"
        ? { token: answer } : answer ?? {};
    return { token, expires_in: token && (expires_in ?? life_of(token)) };
}

export class Connection {
    #address;
    #options;
    #handlers;
    #state = "suspended";
    #link;
    #attempt = 0; // counts attempts; the results of earlier ones are ignored
    #granted = {}; // the last token
    #opened_at; // when this connection was welcomed
    #timer; // of the next attempt, the welcome, or the next check
    #renewal; // the timer of the next token
    #received_at; // when something was received last
    #pings = 0; // since then
    #failures = 0; // attempts in a row that failed or did not last
    #page_left = false; // whether that suspended it
    #listeners = new AbortController();
    #requests = new Map(); // those without an answer, by ref
    #refs = 0;

    // handlers: subprotocol; query(), the arguments of the address; state(name,
    // detail); welcome(object), which returns false if it is invalid;
    // opened(object) after the state; received(object), likewise; disconnected()
    // and ended(); fault(detail).
    constructor(url, options, handlers) {
        this.#address = absolute(url);
        this.#options = { ...defaults, ...options };
        this.#handlers = handlers;
    }

    get state() { return this.#state; }
    get is_connected() { return this.#link !== undefined; }
    get can_send() { return this.#state === "open" && this.#link.can_send; }

    start() {
        const { signal } = this.#options;
        this.#connect();
        this.#listen();
        if (signal?.aborted) {
            this.close();
        }
        signal?.addEventListener("abort", () => this.close(),
                                 { signal: this.#listeners.signal });
    }

    // Calls settle(error, answer) at once when there is a result. If settle
    // returns false, the answer is invalid.
    request(object, settle) {
        if (!this.can_send) {
            settle(new RoomError("there is no connection"));
            return;
        }
        const ref = ++this.#refs;
        const { answer_within } = this.#options;
        const timer = answer_within === Infinity ? undefined : setTimeout(() => {
            this.#requests.delete(ref);
            settle(new RoomError("no answer came in time", true));
        }, answer_within);
        this.#requests.set(ref, { settle, timer });
        this.#link.send({ ...object, ref });
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
        this.#handlers.state(state, more);
    }

    #connect() {
        const { token, welcome_within } = this.#options;
        this.#attempt++;
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => {
            this.#lost(1006, "no welcome came in time");
        }, welcome_within);
        if (token) {
            this.#enter("connecting");
            this.#get_token((granted) => this.#open(granted),
                            (error) => this.#lost(1006, error.message));
        } else {
            this.#open({});
            this.#enter("connecting");
        }
    }

    // Calls `failed` after an error that is not final. An attempt that was
    // abandoned meanwhile gets nothing.
    async #get_token(granted, failed) {
        const attempt = this.#attempt;
        try {
            const answer = granted_by(await this.#options.token());
            if (attempt === this.#attempt) {
                granted(answer);
            }
        } catch (error) {
            if (attempt === this.#attempt) {
                if (error?.final) {
                    this.#end({ error, code: 1000, reason: error.message });
                } else {
                    failed(error);
                }
            }
        }
    }

    #open(granted) {
        const address = new URL(this.#address);
        for (const [name, value] of Object.entries(this.#handlers.query())) {
            if (value !== undefined) {
                address.searchParams.set(name, value);
            }
        }
        this.#granted = granted;
        this.#link = new WebSocketLink(address, {
            subprotocol: this.#handlers.subprotocol, token: granted.token,
            WebSocket: this.#options.WebSocket ?? globalThis.WebSocket,
        }, {
            received: (text) => this.#received(text),
            lost: (code, reason) => this.#lost(code, reason),
        });
    }

    #disconnect() {
        const link = this.#link;
        const requests = [...this.#requests.values()];
        clearTimeout(this.#timer);
        clearTimeout(this.#renewal);
        this.#attempt++;
        this.#pings = 0;
        this.#link = undefined;
        this.#requests.clear();
        link?.close();
        for (const { timer, settle } of requests) {
            clearTimeout(timer);
            settle(Object.assign(
                new RoomError("the connection was lost before the answer",
                              true), { lost: true }));
        }
        this.#handlers.disconnected();
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
        this.#enter("waiting", { ...why, delay, at: Date.now() + delay });
    }

    #end(why) {
        if (this.#state !== "closed") {
            this.#disconnect();
            this.#listeners.abort();
            this.#handlers.ended();
            this.#enter("closed", why);
        }
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
        this.#link.send({ ping: 1 });
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
    #renew() {
        const again = () => {
            this.#renewal = setTimeout(() => this.#renew(),
                this.#options.first_delay * (1 + 9 * Math.random()));
        };
        this.#get_token((granted) => {
            this.request({ token: granted.token }, (error) => {
                if (!error) {
                    this.#renewed(granted);
                } else if (!error.lost) {
                    again();
                }
            });
        }, again);
    }

    #renewed(granted) {
        this.#granted = granted;
        if (granted.expires_in !== undefined) {
            this.#schedule_renewal(granted.expires_in);
        }
    }

    // -- objects of the server --

    #received(text) {
        this.#note_received();
        const object = parsed(text);
        const type = object?.type;
        const invalid = typeof type !== "string"
            || (type === "welcome" ? !this.#welcomed(object)
                : this.#state === "open" && !this.#take(object));
        if (invalid && this.#link) {
            this.#handlers.fault({ message: "unexpected message",
                                   frame: text });
        }
    }

    #welcomed(object) {
        if (this.#state !== "connecting"
            || this.#handlers.welcome(object) === false) {
            return false;
        }
        this.#opened_at = performance.now();
        this.#schedule_check(this.#opened_at + this.#options.ping_after);
        this.#renewed(this.#granted);
        this.#enter("open");
        this.#handlers.opened(object);
        return true;
    }

    #take(object) {
        const { type, ref, message } = object;
        const asked = this.#requests.get(ref);
        if (asked) {
            this.#requests.delete(ref);
            clearTimeout(asked.timer);
            return asked.settle(type === "error" ? new RoomError(message)
                                : undefined, object) !== false;
        }
        if (type === "error") {
            this.#handlers.fault({ message });
            return true;
        }
        return this.#handlers.received(object) !== false;
    }
}
