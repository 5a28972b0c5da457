// The position of a client in the messages of a room.

import { id_text } from "./shared.js";

export class Position {
    seen; // the last message received or not wanted; undefined: not yet known
    acknowledged = new Set(); // numbers of own messages not yet received
    #history;
    #gaps_until = 0; // ids up to this number may be skipped

    constructor(history, seen) {
        this.#history = history;
        this.seen = seen;
    }

    get last() { return this.seen && id_text(this.seen); }

    // The id after which messages are wanted. "0" requests the whole history:
    // the answer has the last id, by which older ones than wanted are skipped.
    get since() { return this.last ?? (this.#history > 0 ? "0" : undefined); }

    // Sets the position when the client is in the room. Returns whether missed
    // messages are lost.
    begin(end, recovered) {
        const { seen } = this;
        if (seen?.epoch !== end.epoch) {
            const wanted = seen ? Infinity : this.#history;
            this.seen = { ...end, number: Math.max(0, end.number - wanted) };
            this.acknowledged.clear();
        } else if (recovered || seen.number < this.#gaps_until) {
            // Before the first history has arrived, skipped ids show a loss.
            return false;
        }
        this.#gaps_until = end.number;
        return seen !== undefined;
    }

    // Messages may be missing before the next one.
    allow_gap() {
        this.#gaps_until = Infinity;
    }

    is_new({ epoch, number }) {
        return epoch !== this.seen.epoch || number > this.seen.number;
    }

    // Whether messages before the next one are missing.
    is_gap_before(id) {
        const missing = id.epoch !== this.seen.epoch
            || this.#is_skipped_before(id.number);
        if (missing) {
            this.#gaps_until = id.number;
        }
        return missing;
    }

    advance(id) {
        this.seen = id;
        if (this.#gaps_until === Infinity) {
            this.#gaps_until = id.number;
        }
    }

    acknowledge({ epoch, number }) {
        if (epoch === this.seen.epoch && number > this.seen.number) {
            this.acknowledged.add(number);
        }
    }

    // With self=off own messages do not come: their numbers are no gap.
    #is_skipped_before(number) {
        let next = Math.max(this.seen.number, this.#gaps_until) + 1;
        while (next < number && this.acknowledged.delete(next)) {
            next++;
        }
        return next < number;
    }
}
