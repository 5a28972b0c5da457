// Runs a script that tests examples/room/room.js in Node.
//
// usage: node room_js_node.mjs ROOM WEBSOCKET SCRIPT; ROOM: the file room.js, as
// a module; WEBSOCKET: npm's ws, as a module, or "native"; SCRIPT: the text of a
// function that gets the members of `tools` below. report() writes a value to
// the standard output as a line of JSON. next_line() resolves with the next line
// of the standard input.

import { createInterface } from "node:readline";

const [room_file, websocket, script] = process.argv.slice(2);

if (websocket !== "native") {
    globalThis.WebSocket = (await import(websocket)).WebSocket;
}

const { Room } = await import(room_file);
const report = (what) => console.log(JSON.stringify(what));

// Reports each state. Returns a function whose promise resolves with the next
// event of a state.
function watched(room) {
    const waiting = [];
    room.addEventListener("state", ({ detail }) => {
        report(detail.state);
        for (const each of waiting.splice(0)) {
            if (each.state === detail.state) {
                each.resolve(detail);
            } else {
                waiting.push(each);
            }
        }
    });
    return (state) => new Promise((resolve) => {
        waiting.push({ state, resolve });
    });
}

function next_line() {
    const input = createInterface({ input: process.stdin });
    return new Promise((resolve) => {
        input.once("line", (line) => {
            input.close();
            resolve(line);
        });
    });
}

const settled = (promise) => promise.then(
    (id) => `as ${id}`,
    (error) => `${error.uncertain ? "perhaps" : "not"}: ${error.message}`);

const tools = { Room, report, watched, next_line, settled };
const asynchronous = Object.getPrototypeOf(async () => {}).constructor;

await new asynchronous(...Object.keys(tools), script)(...Object.values(tools));
