// The types of nginx-websocket/react.

import type { Message, RoomOptions, Rooms, RoomsOptions, State,
              SubscribeOptions, Transport } from "./index.js";

export interface Shown {
    readonly state: State;
    readonly transport: Transport | undefined;
    /** The id of this connection. */
    readonly client: number | undefined;
    /** How many are in the room. */
    readonly clients: number | undefined;
    /** The last ones, in order. */
    readonly messages: readonly Message[];
    /** How many gaps there were. */
    readonly gaps: number;
    /** Why it is closed, if the token callback or the server refused. */
    readonly error: unknown;
    /** The same function in each render. */
    publish(text: string): Promise<string>;
}

export interface Keep {
    /** How many messages are kept for the component: 100. */
    keep?: number;
}

export function useRoom(url: string | URL | null | undefined,
                        options?: RoomOptions & Keep): Shown;
export function useRooms(url: string | URL,
                         options?: RoomsOptions): Rooms | undefined;
export function useSubscription(rooms: Rooms | undefined, name: string,
                                options?: Omit<SubscribeOptions, "signal">
                                    & Keep): Shown;
