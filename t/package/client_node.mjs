// Runs a script that tests the package nginx-websocket in Node.
//
// usage: node client_node.mjs PACKAGE WEBSOCKET SCRIPT; WEBSOCKET: npm's ws, as
// a module, or "native"; SCRIPT: the text of a function that gets the members of
// `tools` below. report() writes a value to the standard output as a line of
// JSON. next_line() resolves with the next line of the standard input.

import { createInterface } from "node:readline";

const [package_file, websocket, script] = process.argv.slice(2);

if (websocket !== "native") {
    globalThis.WebSocket = (await import(websocket)).WebSocket;
}

const { Room, Rooms } = await import(package_file);
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

const tools = { Room, Rooms, report, watched, next_line, settled };
const asynchronous = Object.getPrototypeOf(async () => {}).constructor;

await new asynchronous(...Object.keys(tools), script)(...Object.values(tools));
