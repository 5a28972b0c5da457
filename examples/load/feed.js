// The connection to the feed. After a loss it reconnects with growing delays,
// and repeats the settings.

const first_wait = 500;
const longest_wait = 15_000;

export class load_feed {
    // `on` has the functions state(name, wait), with one of connecting, open,
    // paused, waiting, and message(object).
    constructor(address, on) {
        this.address = address;
        this.on = on;
        this.wait = first_wait;
        this.interval = undefined; // that of the location, until one is chosen
        this.paused = false;
    }

    connect() {
        this.leave();
        const socket = new WebSocket(this.address);
        const listen = (name, call) => socket.addEventListener(name, (event) =>
            socket === this.socket && call(event));
        this.socket = socket;
        listen("open", () => this.opened());
        listen("message", (event) => this.received(JSON.parse(event.data)));
        listen("close", () => this.closed());
        this.on.state("connecting");
    }

    // Ends the connection; only connect() brings it back.
    leave() {
        clearTimeout(this.timer);
        this.socket?.close();
        this.socket = undefined;
    }

    opened() {
        if (this.interval !== undefined) {
            this.send(`interval ${this.interval}`);
        }
        if (this.paused) {
            this.send("pause");
        }
        this.on.state(this.paused ? "paused" : "open");
    }

    received(message) {
        this.wait = first_wait;
        this.on.message(message);
    }

    closed() {
        // The random part prevents all clients from reconnecting at once.
        const wait = this.wait * (0.75 + Math.random() / 2);
        this.wait = Math.min(this.wait * 2, longest_wait);
        this.timer = setTimeout(() => this.connect(), wait);
        this.on.state("waiting", wait);
    }

    get connected() {
        return this.socket?.readyState === WebSocket.OPEN;
    }

    send(text) {
        if (this.connected) {
            this.socket.send(text);
        }
    }

    choose_interval(interval) {
        this.interval = interval;
        this.send(`interval ${interval}`);
    }

    pause(paused) {
        this.paused = paused;
        this.send(paused ? "pause" : "resume");
        if (this.connected) {
            this.on.state(paused ? "paused" : "open");
        }
    }
}
