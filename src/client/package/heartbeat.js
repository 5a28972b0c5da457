// Detects dead connections, which browsers do not report.

export class Heartbeat {
    #options;
    #send_ping;
    #dead;
    #timer;
    #received_at; // when something was received last
    #pings = 0; // since then
    #quiet_after;

    // Calls dead() once. Without pings the server sends something at least at
    // every ping_after, or the connection is dead.
    constructor(options, send_ping, dead) {
        this.#options = options;
        this.#send_ping = send_ping;
        this.#dead = dead;
    }

    start(has_pings) {
        const { ping_after } = this.#options;
        this.#quiet_after = has_pings ? ping_after : 2 * ping_after;
        this.#received_at = performance.now();
        this.#schedule(this.#received_at + this.#quiet_after);
    }

    stop() {
        clearTimeout(this.#timer);
        this.#pings = 0;
    }

    received() {
        this.#received_at = performance.now();
        if (this.#pings > 0) {
            this.#pings = 0;
            this.#schedule(this.#received_at + this.#quiet_after);
        }
    }

    // The page is visible again, or has a network again.
    wake() {
        if (this.#pings === 0) {
            this.#ping();
        }
    }

    #schedule(due) {
        clearTimeout(this.#timer);
        if (due !== Infinity) {
            this.#timer = setTimeout(() => this.#check(due),
                                     Math.max(0, due - performance.now()));
        }
    }

    // A frozen page may process the answer after its timer: so a late check
    // sends a second ping.
    #check(due) {
        const now = performance.now();
        if (this.#pings === 0 && now - this.#received_at < this.#quiet_after) {
            this.#schedule(this.#received_at + this.#quiet_after);
        } else if (this.#pings === 0 || (this.#pings === 1
            && now - due > this.#options.pong_within)) {
            this.#ping();
        } else {
            this.#dead();
        }
    }

    #ping() {
        this.#pings++;
        this.#send_ping();
        this.#schedule(performance.now() + this.#options.pong_within);
    }
}
