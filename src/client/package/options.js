// The options of rooms and their connections. README.md has all of them.

const defaults = {
    transport: "auto", // or "websocket", or "event-stream"
    // ms. Each delay is a random part of a limit, which doubles with each
    // failure, so that clients do not reconnect all at once.
    first_delay: 500,
    longest_delay: 30_000,
    settled_after: 5000, // ms: a connection this long resets the delay
    welcome_within: 20_000, // ms: a longer attempt fails
    ping_after: 25_000, // ms without input; Infinity: never
    pong_within: 10_000, // ms: later the connection is dead
    answer_within: 30_000, // ms: later the answer of a request is lost
    renew_before: 60_000, // ms before a token ends; at most half of its time
    retry_websocket: 300_000, // ms: an event stream lasts without an attempt
    final_codes: [1000], // status codes after which it does not reconnect
    history: 0, // how many of the latest messages to get first; or Infinity
    most_waiting: 100, // messages of a room that may wait for a connection
};

export function with_defaults(options) {
    return { ...defaults, ...options };
}
