// The types of nginx-websocket. README.md describes what they stand for.

export type Transport = "websocket" | "event-stream";
export type State = "connecting" | "open" | "waiting" | "suspended" | "closed";

/** A token; or one that ends after so many seconds; or none. */
export type Token =
    string | { token: string, expires_in?: number } | null | undefined;

/** The platform's WebSocket, npm's ws, or a class like these. */
export interface WebSocketClass {
    new (url: URL, protocols: string | string[]): any;
}

/** The platform's fetch, or a function like it. */
export type Fetch = (url: URL, options: {
    method?: string, body?: string, headers?: Record<string, string>,
    cache?: "no-store", signal?: AbortSignal,
}) => Promise<Response>;

export interface ConnectionOptions {
    /** "auto": a WebSocket, or an event stream where none passes. */
    transport?: "auto" | Transport;
    WebSocket?: WebSocketClass;
    fetch?: Fetch;
    /** Called before each attempt, and before the token ends. If it rejects
     *  with an error whose `final` is true, the connection is closed. */
    token?: () => Promise<Token> | Token;
    /** Closes the connection. */
    signal?: AbortSignal;
    /** ms. Each delay is a random part of a limit, which doubles. */
    first_delay?: number;
    longest_delay?: number;
    /** ms: a connection this long resets the delay. */
    settled_after?: number;
    /** ms: a longer attempt fails. */
    welcome_within?: number;
    /** ms without input; Infinity: never. */
    ping_after?: number;
    /** ms: later the connection is dead. */
    pong_within?: number;
    /** ms: later the result of a request is uncertain; Infinity: no limit. */
    answer_within?: number;
    /** ms before a token ends; at most half of its time. */
    renew_before?: number;
    /** ms: an event stream lasts for so long before a WebSocket is tried. */
    retry_websocket?: number;
    /** Status codes after which it does not reconnect. */
    final_codes?: number[];
}

export interface ChannelOptions {
    /** How many of the latest messages come first; or Infinity. */
    history?: number;
    /** The id after which messages are wanted. */
    since?: string;
    /** Messages that may wait for a connection. */
    most_waiting?: number;
}

export interface RoomOptions extends ConnectionOptions, ChannelOptions {}
export interface RoomsOptions extends ConnectionOptions,
    Omit<ChannelOptions, "since"> {}
export interface SubscribeOptions extends ChannelOptions {
    /** Leaves the room. */
    signal?: AbortSignal;
    answer_within?: number;
}

export interface StateChange {
    state: State;
    /** Of "waiting": ms, and a time like Date.now(); absent while offline. */
    delay?: number;
    at?: number;
    /** Of "waiting": false if an attempt failed. */
    was_open?: boolean;
    /** Of "waiting" and "closed": those of the Close. */
    code?: number;
    reason?: string;
    /** Of "closed": the final error of the token callback. */
    error?: unknown;
}

export interface Welcome {
    /** The id of this connection. */
    client: number;
    user?: string | null;
}

export interface RoomWelcome extends Welcome {
    room: string;
    clients: number;
    last: string;
    /** Whether the client had ids before. */
    resumed: boolean;
    recovered: boolean;
}

export interface Message {
    id: string;
    /** ms since 1970. */
    time: number;
    /** The client that published it; null: it came over HTTP. */
    from: number | null;
    user?: string;
    /** Bytes if it was published as binary. */
    data: string | Uint8Array;
    /** Published by this object, over any connection. */
    own: boolean;
    /** Older than this connection. */
    missed: boolean;
}

export interface Direct {
    time: number;
    data: string | Uint8Array;
}

export interface Presence {
    type: "joined" | "left";
    /** null: unknown, or several clients. */
    client: number | null;
    user?: string;
    /** How many are in the room now. */
    clients: number;
}

export interface Gap {
    /** "resume": the room no longer has them or has begun again; "slow": the
     *  server has dropped them; "missing": an id was skipped. */
    cause: "resume" | "slow" | "missing";
    /** The id of the last message before the gap. */
    after: string;
}

export interface CaughtUp {
    messages: number;
    /** Without a gap. */
    complete: boolean;
}

export interface Fault {
    message: string;
    frame?: unknown;
}

export interface Subscribed {
    last: string;
    clients: number;
    resumed: boolean;
    recovered: boolean;
}

export interface Refused {
    reason: string;
}

export interface End {
    reason: string;
}

export interface Users {
    clients: number;
    users: { user: string, clients: number }[];
}

export interface ChannelEvents {
    message: Message;
    presence: Presence;
    gap: Gap;
    caught_up: CaughtUp;
}

export interface ConnectionEvents {
    state: StateChange;
    direct: Direct;
    fault: Fault;
}

export interface RoomEvents extends ChannelEvents, ConnectionEvents {
    welcome: RoomWelcome;
    end: End;
}

export interface SubscriptionEvents extends ChannelEvents {
    subscribed: Subscribed;
    refused: Refused;
    end: End;
}

type WithRoom<Events> = { [Name in keyof Events]: Events[Name]
    & { room: string } };

export interface RoomsEvents extends ConnectionEvents,
    WithRoom<Omit<SubscriptionEvents, "end">> {
    welcome: Welcome;
}

export interface DetailEvent<Detail> extends Event {
    readonly detail: Detail;
}

type Listener<Target, Detail> =
    ((this: Target, event: DetailEvent<Detail>) => unknown)
    | { handleEvent(event: DetailEvent<Detail>): unknown };

/** An EventTarget whose events are known. */
declare class Emitter<Events> extends EventTarget {
    addEventListener<Name extends keyof Events & string>(
        name: Name, listener: Listener<this, Events[Name]> | null,
        options?: AddEventListenerOptions | boolean): void;
    removeEventListener<Name extends keyof Events & string>(
        name: Name, listener: Listener<this, Events[Name]> | null,
        options?: EventListenerOptions | boolean): void;
}

/** One room of the handler `room`. */
export class Room extends Emitter<RoomEvents>
    implements AsyncIterable<Message> {
    constructor(url: string | URL, options?: RoomOptions);
    readonly state: State;
    readonly transport: Transport;
    /** The id of this connection; undefined before the first one. */
    readonly client: number | undefined;
    /** How many are in the room. */
    readonly clients: number | undefined;
    /** The id of the last message. */
    readonly last: string | undefined;
    /** Resolves with the id of the message, or rejects with a RoomError. */
    publish(text: string): Promise<string>;
    /** Ends the connection until resume(). */
    suspend(): void;
    resume(): void;
    /** Skips the delay before the next attempt. */
    retry(): void;
    close(): void;
    [Symbol.asyncIterator](): AsyncGenerator<Message, void, void>;
}

/** A room of a Rooms. */
export class Subscription extends Emitter<SubscriptionEvents>
    implements AsyncIterable<Message> {
    private constructor();
    readonly name: string;
    readonly subscribed: boolean;
    readonly clients: number | undefined;
    readonly last: string | undefined;
    publish(text: string): Promise<string>;
    presence(): Promise<Users>;
    unsubscribe(): void;
    [Symbol.asyncIterator](): AsyncGenerator<Message, void, void>;
}

/** Many rooms over one connection to the handler `rooms`. */
export class Rooms extends Emitter<RoomsEvents> {
    constructor(url: string | URL, options?: RoomsOptions);
    readonly state: State;
    readonly transport: Transport;
    readonly client: number | undefined;
    readonly user: string | null | undefined;
    /** Resolves when the client is in the room, rejects if it is refused. */
    subscribe(name: string, options?: SubscribeOptions): Promise<Subscription>;
    unsubscribe(name: string): void;
    publish(name: string, text: string): Promise<string>;
    presence(name: string): Promise<Users>;
    suspend(): void;
    resume(): void;
    retry(): void;
    close(): void;
}

export class RoomError extends Error {
    constructor(message: string, uncertain?: boolean);
    /** Whether the room may have got the message all the same. */
    readonly uncertain: boolean;
}

export {}; // what is not exported above is no part of the package
