// The connection of a page: its state in the badge, and a button that connects
// again. Messages are JSON objects from the server.

import { describe_close } from "./close_codes.js";

export const element = (id) => document.getElementById(id);

export class live_page {
    // `received` is called with each object, `opened` when there is a
    // connection.
    constructor(path, { opened, received }) {
        this.address = new URL(path, location.href);
        this.address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
        this.opened = opened;
        this.received = received;
        element("reconnect").addEventListener("click", () => this.connect());
        // A page that the browser keeps for its back button has no connection.
        addEventListener("pagehide", () => this.socket.close());
        addEventListener("pageshow", (event) => {
            if (event.persisted) {
                this.connect();
            }
        });
        this.connect();
    }

    send(text) {
        this.socket.send(text);
    }

    connect() {
        const socket = new WebSocket(this.address);
        let opened = false;
        this.socket = socket;
        socket.addEventListener("open", () => {
            opened = true;
            this.show_state("open");
            this.opened();
        });
        socket.addEventListener("message", (event) =>
            this.received(JSON.parse(event.data)));
        socket.addEventListener("close", (event) => {
            if (socket === this.socket) {
                const { name, meaning } = describe_close(event, { opened });
                element("fault").textContent =
                    `Closed with ${event.code}, ${name}. ${meaning}`;
                this.show_state("closed");
            }
        });
        this.show_state("connecting");
    }

    show_state(state) {
        document.body.dataset.state = state;
        element("state").textContent = state;
        element("controls").disabled = state !== "open";
        element("closed").hidden = state !== "closed";
    }
}
