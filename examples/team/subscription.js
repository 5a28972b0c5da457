// A room of rooms.js, and the position of this client in it.

// Epochs have 64 bits, more than a number holds.
export function parse_id(text) {
    const parts = /^(\d+)-(\d+)$/.exec(text);
    return parts && { epoch: parts[1], number: Number(parts[2]) };
}

// `seen` is the last message received or not wanted, undefined until the first
// answer. Ids up to the number `gaps_until` may be skipped.
export class Subscription {
    subscribed = false;
    requested = false; // by a request that is not answered
    refused; // the server's reason, over this connection
    seen;
    gaps_until = 0;
    catch_up_until; // the number of the last missed message, or undefined
    acknowledged = new Set(); // numbers of own messages not yet received

    constructor(name, history) {
        this.name = name;
        this.history = history;
    }

    // The id after which messages are wanted. "0" requests the whole history:
    // the answer has the last id, by which older ones than wanted are skipped.
    get since() {
        return this.seen ? `${this.seen.epoch}-${this.seen.number}`
            : this.history > 0 ? "0" : undefined;
    }

    // Sets the position by the answer. True if missed messages are lost.
    begin(end, recovered) {
        const { seen, history } = this;
        this.subscribed = true;
        this.catch_up_until = end.number;
        if (!seen) {
            this.seen = { ...end,
                          number: end.number - Math.min(history, end.number) };
            this.gaps_until = end.number;
            return false;
        }
        if (seen.epoch !== end.epoch) {
            this.seen = { ...end, number: 0 };
            this.gaps_until = end.number;
            this.acknowledged.clear();
            return true;
        }
        // Before the first history has arrived, skipped ids show a loss.
        if (recovered || seen.number < this.gaps_until) {
            return false;
        }
        this.gaps_until = end.number;
        return true;
    }

    is_new({ epoch, number }) {
        return epoch !== this.seen.epoch || number > this.seen.number;
    }

    // Takes the next message. True if others before it are missing.
    advance(id) {
        const missing = id.epoch !== this.seen.epoch
            || this.#is_gap_before(id.number);
        if (missing || this.gaps_until === Infinity) {
            this.gaps_until = id.number;
        }
        this.seen = id;
        return missing;
    }

    // With self=off own messages do not come: their numbers are no gap.
    #is_gap_before(number) {
        let next = Math.max(this.seen.number, this.gaps_until) + 1;
        while (next < number && this.acknowledged.delete(next)) {
            next++;
        }
        return next < number;
    }
}
