// Clients of one room that publish and record what they receive, for a test
// that disturbs them.
//
// usage: node followers.mjs PACKAGE WEBSOCKET OPTIONS; WEBSOCKET: npm's ws, as a
// module; OPTIONS: JSON with url, clients, kind ("Room" or "Rooms"), transport,
// and perhaps jwt: { secret, seconds, says_end }, by which the clients sign
// their own tokens.
//
// It reports "open", then the number of connections so far at each publication
// that succeeds. A line of the standard input ends the publishing: it reports
// "published". After a message with the data "end" it reports, for each client,
// { ids, texts, gaps, faults, connections, transport, results }.

import { createHmac } from "node:crypto";
import { createInterface } from "node:readline";

const [package_file, websocket, text] = process.argv.slice(2);
const { url, clients, kind, transport, jwt } = JSON.parse(text);
const { Room, Rooms } = await import(package_file);
const { WebSocket } = await import(websocket);

const pace = 40; // ms between the publications of a client
let connections = 0;
let is_over = false;

const report = (what) => console.log(JSON.stringify(what));
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function token() {
    const encode = (object) => Buffer.from(JSON.stringify(object))
        .toString("base64url");
    const signed = `${encode({ alg: "HS256" })}.${encode({
        sub: "42", exp: Date.now() / 1000 + jwt.seconds })}`;
    const signature = createHmac("sha256", jwt.secret).update(signed)
        .digest("base64url");
    const issued = `${signed}.${signature}`;
    return jwt.says_end ? { token: issued, expires_in: jwt.seconds } : issued;
}

const options = { WebSocket, transport, token: jwt && token, first_delay: 20,
                  longest_delay: 200, welcome_within: 30_000 };

class Follower {
    ids = [];
    texts = [];
    gaps = [];
    faults = [];
    connections = 0;
    results = []; // [text, id], or [text, null, uncertain]

    constructor(number) {
        const connection = new (kind === "Room" ? Room : Rooms)(url, options);
        const on = (name, call) => connection.addEventListener(
            name, ({ detail }) => call(detail));
        this.number = number;
        this.connection = connection;
        this.is_open = kind === "Rooms" ? connection.subscribe("r")
            : new Promise((resolve) => { on("caught_up", resolve); });
        this.has_ended = new Promise((resolve) => {
            on("message", ({ id, data }) => {
                this.ids.push(id);
                this.texts.push(data);
                if (data === "end") {
                    resolve();
                }
            });
        });
        on("gap", (detail) => this.gaps.push(detail));
        on("fault", (detail) => this.faults.push(detail));
        on("welcome", () => {
            this.connections++;
            connections++;
        });
    }

    async publish() {
        for (let i = 0; !is_over; i++) {
            const sent = `${this.number}:${i}`;
            const args = kind === "Rooms" ? ["r", sent] : [sent];
            try {
                this.results.push([sent,
                                   await this.connection.publish(...args)]);
                report(connections);
            } catch ({ uncertain }) {
                this.results.push([sent, null, uncertain]);
            }
            await pause(pace);
        }
    }

    report() {
        const { connection, number, is_open, has_ended, ...recorded } = this;
        report({ ...recorded, transport: connection.transport });
        connection.close();
    }
}

const all = Array.from({ length: clients }, (_, i) => new Follower(i));
await Promise.all(all.map(({ is_open }) => is_open));
report("open");
const input = createInterface({ input: process.stdin });
input.once("line", () => {
    is_over = true;
    input.close();
});
await Promise.all(all.map((each) => each.publish()));
report("published");
await Promise.all(all.map(({ has_ended }) => has_ended));
all.forEach((each) => each.report());
