// Chooses between a WebSocket and an event stream.

const most_unopened = 2; // failed attempts before the first WebSocket opened
const most_cut = 3; // WebSockets in a row that were cut at once
const cut_within = 1000; // ms

export class Fallback {
    transport; // of the next attempt
    is_forced; // the transport never changes
    #unopened = 0; // -Infinity when one has opened
    #cut = 0;

    constructor({ transport, WebSocket = globalThis.WebSocket }) {
        this.is_forced = transport !== "auto" || !WebSocket;
        this.transport = transport !== "auto" ? transport
            : WebSocket ? "websocket" : "event-stream";
    }

    opened(transport) {
        if (transport === "websocket") {
            this.#unopened = -Infinity;
            this.transport = transport;
        }
    }

    // lasted: ms, undefined if the connection did not open.
    lost(transport, code, lasted) {
        const is_socket = transport === "websocket";
        this.#cut = is_socket && code === 1006 && lasted < cut_within
            ? this.#cut + 1 : 0;
        this.#unopened += is_socket && lasted === undefined ? 1 : 0;
        // The server may have no event streams.
        const streams = is_socket ? this.#unopened >= most_unopened
            || this.#cut >= most_cut : lasted !== undefined;
        if (!this.is_forced) {
            this.transport = streams ? "event-stream" : "websocket";
        }
    }

    // The network is another one.
    reset() {
        this.#unopened = 0;
        this.#cut = 0;
        if (!this.is_forced) {
            this.transport = "websocket";
        }
    }
}
