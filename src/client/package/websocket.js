// A connection by a WebSocket.

export class WebSocketLink {
    transport = "websocket";
    #socket;
    #events;

    // events: received(text) and lost(code, reason). Nothing comes after lost()
    // or close().
    constructor(address, { subprotocol, token, WebSocket }, events) {
        // nginx takes the token out of the offered subprotocols.
        const socket = new WebSocket(address, token === undefined
            ? subprotocol : [subprotocol, `bearer.${token}`]);
        this.#socket = socket;
        this.#events = events;
        socket.addEventListener("message", ({ data }) =>
            this.#events?.received(data));
        socket.addEventListener("close", ({ code, reason }) =>
            this.#events?.lost(code, reason));
        // A close event follows, except in Node 20. npm's ws throws errors
        // without a listener, also those of an abandoned socket.
        socket.addEventListener("error", () => setTimeout(() =>
            this.#events?.lost(1006, "")));
    }

    // A closing socket discards messages.
    get can_send() { return this.#socket.readyState === 1; }

    send(object) {
        this.#socket.send(JSON.stringify(object));
    }

    // The close event may come before the call of the socket returns.
    close() {
        this.#events = undefined;
        this.#socket.close(1000);
    }
}
