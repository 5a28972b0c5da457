// The messages of a room for `for await`.

import { RoomError } from "./shared.js";

const most_unread = 10_000; // messages

// Begins at once, and ends with the event "end" of the room.
export function iterate(room, ended) {
    const unread = [];
    const listeners = new AbortController();
    const { signal } = listeners;
    let wake;
    room.addEventListener("message", ({ detail }) => {
        unread.push(detail);
        wake?.();
    }, { signal });
    room.addEventListener("end", () => {
        ended = true;
        wake?.();
    }, { signal });
    return (async function* messages() {
        try {
            while (unread.length > 0 || !ended) {
                if (unread.length > most_unread) {
                    throw new RoomError("read too slowly");
                }
                if (unread.length > 0) {
                    yield unread.shift();
                } else {
                    await new Promise((resolve) => { wake = resolve; });
                }
            }
        } finally {
            listeners.abort();
        }
    })();
}
