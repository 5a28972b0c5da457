// A lasting connection for one Room or Rooms: it reconnects, detects dead
// connections, renews its token, and falls back to an event stream.

import { EventStreamLink } from "./event_stream.js";
import { Fallback } from "./fallback.js";
import { Heartbeat } from "./heartbeat.js";
import { with_defaults } from "./options.js";
import { RoomError } from "./shared.js";
import { renewal_delay, requested_token } from "./token.js";
import { WebSocketLink } from "./websocket.js";

// A server that shuts down spreads its clients itself; after the end of a token
// a newer one is needed at once.
const codes_at_once = [1001, 3000];

function absolute(url) {
    const address = new URL(url, globalThis.location?.href);
    address.protocol = address.protocol.replace("http", "ws");
    address.hash = "";
    return address;
}

// A machine without a network still reaches itself.
function is_offline({ hostname }) {
    return globalThis.navigator?.onLine === false
        && !/^127\.|^\[::1|(^|\.)localhost$/.test(hostname);
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
    #timer; // of the next attempt, or the welcome
    #renewal; // the timer of the next token
    #heartbeat;
    #fallback;
    #candidate; // a WebSocket that may replace the event stream
    #candidate_timer;
    #failures = 0; // attempts in a row that failed or did not last
    #page_left = false; // whether that suspended it
    #listeners = new AbortController();

    // handlers: subprotocol; query(transport), the arguments of the address;
    // state(name, detail), when it changes; welcome(object), which returns a
    // function to be called when the state is "open"; received(object); and
    // fault(detail). Invalid objects are answered with false.
    constructor(url, options, handlers) {
        this.#address = absolute(url);
        this.#options = with_defaults(options);
        this.#handlers = handlers;
        this.#fallback = new Fallback(this.#options);
        this.#heartbeat = new Heartbeat(this.#options,
            () => this.#link.ping?.(),
            () => this.#lost(1006, this.#link.ping ? "no answer to a ping"
                : "nothing was received"));
    }

    get state() { return this.#state; }
    get transport() { return (this.#link ?? this.#fallback).transport; }
    get is_connected() { return this.#link !== undefined; }
    get can_send() { return this.#state === "open" && this.#link?.can_send; }

    get #is_running() {
        return !["suspended", "closed"].includes(this.#state);
    }

    start() {
        this.#connect();
        this.#listen();
        if (this.#options.signal?.aborted) {
            this.close();
        }
    }

    // Calls settle(error, answer) when there is a result.
    request(object, settle) {
        if (this.can_send) {
            this.#link.request(object, settle, this.#options.answer_within);
        } else {
            settle(new RoomError("no connection"));
        }
    }

    suspend() {
        if (this.#is_running) {
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

    // Connects again at once, with another list of rooms or another token.
    reconnect(granted) {
        if (this.#link) {
            this.#disconnect();
            this.#connect(granted);
        }
    }

    // -- connecting --

    #listen() {
        const { signal } = this.#listeners;
        const on = (target, name, call) =>
            target?.addEventListener?.(name, call, { signal });
        const page = globalThis.document;
        const wake = () => {
            this.retry(); // browsers delay the timers of hidden pages
            if (this.#state === "open" && this.#link.ping) {
                this.#heartbeat.wake();
            }
        };
        on(this.#options.signal, "abort", () => this.close());
        on(globalThis, "online", () => {
            this.#fallback.reset();
            wake();
        });
        on(page, "visibilitychange", () => {
            if (page.visibilityState === "visible") {
                wake();
            }
        });
        on(globalThis, "pagehide", () => {
            this.#page_left ||= this.#is_running;
            this.suspend();
        });
        on(globalThis, "pageshow", () => {
            if (this.#page_left) {
                this.#page_left = false;
                this.resume();
            }
        });
    }

    #enter(state, more) {
        this.#state = state;
        this.#handlers.state(state, more);
    }

    #connect(granted) {
        const { token, welcome_within } = this.#options;
        this.#attempt++;
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => {
            this.#lost(1006, "no welcome came in time");
        }, welcome_within);
        if (token && !granted) {
            this.#enter("connecting");
            this.#get_token((newer) => this.#open(newer),
                            (error) => this.#lost(1006, error.message));
        } else {
            this.#open(granted ?? {});
            this.#enter("connecting");
        }
    }

    // Calls `failed` after an error that is not final. An attempt that was
    // abandoned meanwhile gets nothing.
    async #get_token(granted, failed) {
        const attempt = this.#attempt;
        try {
            const answer = await requested_token(this.#options.token);
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
        this.#granted = granted;
        this.#link = this.#new_link(this.#fallback.transport);
    }

    #new_link(transport) {
        const query = () => this.#handlers.query(transport);
        const kind = transport === "websocket" ? WebSocketLink
            : EventStreamLink;
        const link = new kind(new URL(this.#address), query, {
            ...this.#options, subprotocol: this.#handlers.subprotocol,
            token: this.#granted.token,
        }, {
            received: (object, frame) => this.#received(link, object, frame),
            lost: (code, reason) => (link === this.#candidate
                ? this.#end_candidate() : this.#lost(code, reason)),
            alive: () => this.#heartbeat.received(),
        });
        return link;
    }

    #disconnect() {
        const link = this.#link;
        clearTimeout(this.#timer);
        clearTimeout(this.#renewal);
        clearTimeout(this.#candidate_timer);
        this.#heartbeat.stop();
        this.#attempt++;
        this.#link = undefined;
        this.#candidate?.close();
        this.#candidate = undefined;
        link?.close();
    }

    #lost(code, reason) {
        const { first_delay, longest_delay, settled_after, final_codes }
            = this.#options;
        const was_open = this.#state === "open";
        const lasted = was_open ? performance.now() - this.#opened_at
            : undefined;
        if (final_codes.includes(code)) {
            this.#end({ code, reason });
            return;
        }
        if (this.#link) {
            this.#fallback.lost(this.transport, code, lasted);
        } // else there was no token
        this.#disconnect();
        if (lasted >= settled_after) {
            this.#failures = 0;
        }
        const at_once = codes_at_once.includes(code) && was_open
            && this.#failures === 0;
        const delay = at_once ? 0 : Math.random()
            * Math.min(longest_delay, first_delay * 2 ** this.#failures);
        const why = { code, reason, was_open };
        this.#failures++;
        if (!is_offline(this.#address)) {
            Object.assign(why, { delay, at: Date.now() + delay });
            this.#timer = setTimeout(() => this.#connect(), delay);
        } // else until the event "online"
        this.#enter("waiting", why);
    }

    #end(why) {
        if (this.#state !== "closed") {
            this.#disconnect();
            this.#listeners.abort();
            this.#enter("closed", why);
        }
    }

    // -- from the event stream back to a WebSocket --

    #schedule_candidate() {
        const { retry_websocket } = this.#options;
        if (!this.#link.ping && !this.#fallback.is_forced
            && retry_websocket < Infinity) {
            this.#candidate_timer = setTimeout(() => this.#try_candidate(),
                                              retry_websocket);
        }
    }

    // The stream lasts until the WebSocket has its welcome.
    #try_candidate() {
        this.#candidate = this.#new_link("websocket");
        this.#candidate_timer = setTimeout(() => this.#end_candidate(),
                                           this.#options.welcome_within);
    }

    #end_candidate() {
        clearTimeout(this.#candidate_timer);
        this.#candidate.close();
        this.#candidate = undefined;
        this.#schedule_candidate();
    }

    #take_candidate() {
        const link = this.#candidate;
        this.#candidate = undefined;
        this.#disconnect();
        this.#link = link;
        this.#enter("connecting");
    }

    // -- the token --

    // Without a newer token the server closes the connection in the end.
    #renew() {
        const again = () => {
            this.#renewal = setTimeout(() => this.#renew(),
                this.#options.first_delay * (1 + 9 * Math.random()));
        };
        this.#get_token((granted) => {
            if (!this.#link.ping) {
                this.reconnect(granted);
                return;
            }
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
            clearTimeout(this.#renewal);
            this.#renewal = setTimeout(() => this.#renew(), renewal_delay(
                granted, this.#options.renew_before));
        }
    }

    // -- objects of the server --

    #received(link, object, frame) {
        const type = object?.type;
        if (link === this.#candidate) {
            if (type !== "welcome") {
                return;
            }
            this.#take_candidate();
        }
        if (link !== this.#link) {
            return; // a listener has ended the connection
        }
        this.#heartbeat.received();
        const invalid = typeof type !== "string"
            || (type === "welcome" ? this.#welcomed(object) === false
                : this.#state === "open" && this.#take(object) === false);
        if (invalid && this.#link) {
            this.#handlers.fault({ message: "unexpected message", frame });
        }
    }

    #welcomed(object) {
        const opened = this.#state === "connecting"
            && this.#handlers.welcome(object);
        if (opened) {
            clearTimeout(this.#timer);
            this.#opened_at = performance.now();
            this.#heartbeat.start(this.#link.ping);
            this.#fallback.opened(this.transport);
            this.#schedule_candidate();
            this.#renewed(this.#granted);
            this.#enter("open");
            opened();
        }
        return opened;
    }

    #take(object) {
        const { type, ref, message } = object;
        const error = type === "error" && new RoomError(message);
        const finish = this.#link.requests?.get(ref);
        if (finish) {
            return finish(error, object);
        }
        return error ? this.#handlers.fault({ message })
            : this.#handlers.received(object);
    }
}
