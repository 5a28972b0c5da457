export { Room } from "./room.js";
export { Rooms } from "./rooms.js";
export { RoomError } from "./shared.js";
