// The chat page: its room and name, and the link to it.

import "./chat_box.js";
import { own_name } from "./own_name.js";

const first_room = "lobby";
const max_known = 6;
const known_key = "chat-rooms";

const element = (id) => document.getElementById(id);
const is_room = (text) => /^\w+$/.test(text);
const link_to = (room) => `?room=${room}`;

// Rooms that were visited, the newest first; the lobby is always known.
function known_rooms(current) {
    let known = [];
    try {
        known = JSON.parse(localStorage.getItem(known_key)) ?? [];
    } catch {
        known = [];
    }
    const rooms = [current, ...known].filter((room) =>
        typeof room === "string" && is_room(room) && room !== first_room);
    return Array.from(new Set(rooms)).slice(0, max_known);
}

function remember(rooms) {
    try {
        localStorage.setItem(known_key, JSON.stringify(rooms));
    } catch {
        return; // storage may be forbidden; the rooms last for this page
    }
}

function show_rooms(current) {
    const rooms = known_rooms(current);
    remember(rooms);
    for (const room of [first_room, ...rooms]) {
        const item = document.createElement("li");
        const link = document.createElement("a");
        link.href = link_to(room);
        link.textContent = room;
        if (room === current) {
            link.setAttribute("aria-current", "page");
        }
        item.append(link);
        element("rooms").append(item);
    }
}

function show_invitation(room) {
    const invitation = element("invitation");
    invitation.value = new URL(link_to(room), location.href);
    invitation.addEventListener("focus", () => invitation.select());
    // Browsers have a clipboard on https:// and on this machine only.
    element("copy").hidden = navigator.clipboard === undefined;
    element("copy").addEventListener("click", async () => {
        try {
            await navigator.clipboard.writeText(invitation.value);
            element("copied").textContent = "Copied.";
        } catch {
            invitation.focus();
        }
    });
}

const asked = new URLSearchParams(location.search);
const wanted = asked.get("room") ?? first_room;
const room = is_room(wanted) ? wanted : first_room;
if (room !== wanted) {
    element("room-fault").textContent = `“${wanted.slice(0, 40)}” cannot be a `
        + `room, so this is the ${first_room}.`;
    element("room-fault").hidden = false;
}
const name = own_name(asked.get("name"));
// The shared link has the room, not the name.
history.replaceState(null, "", link_to(room));

element("chooser").addEventListener("submit", (event) => {
    event.preventDefault();
    location.assign(link_to(element("room").value));
});
document.title = `${room} · WebSocket chat`;
element("address").textContent = `/chat/${room}`;
show_rooms(room);
show_invitation(room);
document.querySelector("chat-box").enter(room, name);
