// Compiled by tsc in strict mode: each call of the package, and errors that it
// must find.

import { Room, RoomError, Rooms, type Message, type RoomOptions,
         type State, type Subscription, type Transport, type Users }
    from "nginx-websocket";

const abort = new AbortController();
const options: RoomOptions = {
    history: Infinity, since: "5-7", transport: "auto",
    token: async () => ({ token: "t", expires_in: 60 }),
    signal: abort.signal, WebSocket, fetch: (url, init) => fetch(url, init),
    final_codes: [1000, 4000], most_waiting: 7,
};

const room = new Room("/room/lobby", options);
new Room(new URL("wss://example.org/room/r"), { token: () => "t" });
new Room("/r", { token: async () => undefined });

room.addEventListener("message", ({ detail }) => {
    const message: Message = detail;
    const text: string = typeof message.data === "string" ? message.data
        : new TextDecoder().decode(message.data);
    console.log(message.id.length, text, message.from?.toFixed(), message.own);
});
room.addEventListener("state", function ({ detail: { state, delay } }) {
    const known: State = state;
    this.retry();
    console.log(known, delay?.toFixed());
}, { once: true, signal: abort.signal });
room.addEventListener("presence", ({ detail: { type, user, clients } }) =>
    console.log(type === "joined", user?.length, clients.toFixed()));
room.addEventListener("gap", ({ detail }) =>
    console.log(detail.cause === "resume", detail.after.length));
const listener = { handleEvent(event: Event) { console.log(event.type); } };
room.addEventListener("end", listener);
room.removeEventListener("end", listener);

async function use(): Promise<void> {
    const id: string = await room.publish("hello");
    const transport: Transport = room.transport;
    const state: State = room.state;
    console.log(id, transport, state, room.client?.toFixed(), room.last);
    for await (const { data, missed } of room) {
        console.log(data.length, missed);
    }

    const rooms = new Rooms("/live", { history: 5 });
    rooms.addEventListener("message", ({ detail }) =>
        console.log(detail.room.length, detail.id));
    rooms.addEventListener("refused", ({ detail: { room: name, reason } }) =>
        console.log(name, reason));
    const chat: Subscription = await rooms.subscribe("chat.a",
        { since: "5-7", signal: abort.signal });
    const users: Users = await chat.presence();
    console.log(users.users[0]?.user, chat.subscribed, rooms.user?.length);
    chat.unsubscribe();
    try {
        await rooms.publish("chat.a", "x");
    } catch (error) {
        if (error instanceof RoomError) {
            const doubt: boolean = error.uncertain;
            console.log(doubt);
        }
    }

    // @ts-expect-error: no such transport
    new Room("/r", { transport: "sse" });
    // @ts-expect-error: no such option
    new Room("/r", { histori: 5 });
    // @ts-expect-error: only text
    room.publish(7);
    // @ts-expect-error: no such event
    room.addEventListener("messages", () => undefined);
    // @ts-expect-error: a member of another event
    room.addEventListener("gap", ({ detail }) => detail.data);
    // @ts-expect-error: it is subscribed by its Rooms alone
    new Subscription();
    // @ts-expect-error: read-only
    room.state = "open";
}

use();
