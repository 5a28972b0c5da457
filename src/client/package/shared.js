// Parts that the other files share: errors, events, ids and payloads.

export const no_answer = "no answer came in time";
export const unanswered = "the connection was lost before the answer";

// `uncertain`: it is unknown whether the room has got the message.
export class RoomError extends Error {
    constructor(message, uncertain = false) {
        super(message);
        this.name = "RoomError";
        this.uncertain = uncertain;
    }
}

// Node 18 has no CustomEvent.
export function dispatch(target, name, detail) {
    target.dispatchEvent(Object.assign(new Event(name), { detail }));
}

// Epochs have 64 bits, more than a number holds.
export function parse_id(text) {
    const parts = /^(\d+)-(\d+)$/.exec(text);
    return parts && { epoch: parts[1], number: Number(parts[2]) };
}

// The address with further arguments, those that have a value.
export function with_query(address, query) {
    const url = new URL(address);
    for (const [name, value] of query) {
        if (value !== undefined) {
            url.searchParams.set(name, value);
        }
    }
    return url;
}

export function id_text({ epoch, number }) {
    return `${epoch}-${number}`;
}

// JSON in UTF-8 has no lone surrogates.
export function well_formed(text) {
    return text.toWellFormed?.() ?? text.replace(/\p{Surrogate}/gu, "\ufffd");
}

export function bytes_of(base64) {
    return Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
}

// The payload of a message, or undefined.
export function payload({ data, base64 }) {
    if (typeof data === "string") {
        return data;
    }
    try {
        return bytes_of(base64);
    } catch {
        return undefined;
    }
}

export function parsed(text) {
    try {
        return JSON.parse(text);
    } catch {
        return undefined;
    }
}
