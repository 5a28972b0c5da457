// Runs a scene of examples/room/room.js in Node.
//
// usage: node room_js_node.mjs ROOM WEBSOCKET SCENE; ROOM: the file, as a module;
// WEBSOCKET: npm's ws, as a module, or "native"; SCENE: the text of a function
// that is given what stands in `tools` below. Each thing that `tell` is given
// becomes a line of JSON on the standard output; `heard` resolves with the next
// line of the standard input.

import { createInterface } from "node:readline";

const [room_file, websocket, scene] = process.argv.slice(2);

if (websocket !== "native") {
    globalThis.WebSocket = (await import(websocket)).WebSocket;
}

const { Room } = await import(room_file);
const tell = (what) => console.log(JSON.stringify(what));

// Tells each state, and returns what resolves with the next of a kind.
function watched(room) {
    const waiting = [];
    room.addEventListener("state", ({ detail }) => {
        tell(detail.state);
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

function heard() {
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

const tools = { Room, tell, watched, heard, settled };
const asynchronous = Object.getPrototypeOf(async () => {}).constructor;

await new asynchronous(...Object.keys(tools), scene)(...Object.values(tools));
