// The meaning of status codes (RFC 6455 section 7.4 and the IANA registry), and
// a description of one closed connection.

const codes = new Map([
    [1000, ["Normal Closure", "The work is done; nothing went wrong."]],
    [1001, ["Going Away", "The server stops or reloads, received nothing "
        + "for too long, or the page was left."]],
    [1002, ["Protocol Error", "A frame broke the rules of RFC 6455."]],
    [1003, ["Unsupported Data", "This kind of message, text or binary, is "
        + "not accepted here."]],
    [1005, ["No Status Received", "The Close frame carried no code. That is "
        + "allowed: the closing was orderly, without an explanation."]],
    [1006, ["Abnormal Closure", "No Close frame arrived: the connection "
        + "broke or was cut. This code is never sent; the browser makes it "
        + "up."]],
    [1007, ["Invalid Payload Data", "A text message was not valid UTF-8."]],
    [1008, ["Policy Violation", "The message is against a rule of the "
        + "server, for example its limit of messages per second."]],
    [1009, ["Message Too Big", "The message was larger than the receiver "
        + "accepts. In nginx that is websocket_max_message_size, 1 MB unless "
        + "set otherwise."]],
    [1010, ["Mandatory Extension", "The client needs an extension that the "
        + "server did not agree to."]],
    [1011, ["Internal Error", "The server met a fault of its own; its error "
        + "log has details."]],
    [1012, ["Service Restart", "The server restarts; try again soon."]],
    [1013, ["Try Again Later", "The server is overloaded, or this client "
        + "read too slowly."]],
    [1014, ["Bad Gateway", "A server in between got a bad answer from the "
        + "one behind it."]],
    [1015, ["TLS Handshake", "The TLS handshake failed. This code is never "
        + "sent; the browser makes it up."]],
]);

const ranges = [
    [3000, 3999, "Registered Code", "A code that libraries and frameworks "
        + "register with IANA."],
    [4000, 4999, "Private Code", "A code of the application's own; its "
        + "meaning is agreed between page and server."],
];

export function describe_code(code) {
    const known = codes.get(code);
    if (known) {
        return { name: known[0], meaning: known[1] };
    }
    const range = ranges.find(([from, to]) => code >= from && code <= to);
    if (range) {
        return { name: range[2], meaning: range[3] };
    }
    return { name: "Unknown Code", meaning: "No standard names this code." };
}

// `asked` is the code in the Close frame of this page: 1005 for a frame without
// one, undefined if the page did not begin the closing.
export function describe_close(event, { opened, asked }) {
    const { name, meaning } = describe_code(event.code);
    if (!opened && asked !== undefined) {
        return { name, by: "this page",
                 meaning: "This page gave up before the connection opened." };
    }
    if (!opened) {
        return { name, by: "nobody",
                 meaning: "The opening handshake failed: nothing answers at "
                     + "this address, or the server refused. The browser "
                     + "hides the cause; the error log of nginx has it." };
    }
    if (event.code === 1006) {
        return { name, meaning, by: "unknown" };
    }
    // Both sides may begin at once; then the server's own code arrives.
    // event.wasClean does not help: browsers report false, too, if the Close
    // overtook a message of the page that was only partly sent.
    return { name, meaning,
             by: asked === event.code ? "this page" : "the server" };
}

export function* all_codes() {
    for (const [code, [name, meaning]] of codes) {
        yield [String(code), name, meaning];
    }
    for (const [from, to, name, meaning] of ranges) {
        yield [`${from}–${to}`, name, meaning];
    }
}
