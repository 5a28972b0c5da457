/*
 * The C interface between nginx-websocket and its resource handlers.
 *
 * A handler is told of the clients that are connected to the locations which
 * name it, and of their messages. A resource is what clients connect to: one
 * object per worker and key. Everything here runs on the event loop of an
 * nginx worker: a callback returns soon and never blocks, and but for the
 * function `work` of run_in_background nothing is called from other threads,
 * nor may be.
 *
 * Each structure begins with its size and the version of this interface.
 * Fields are only ever appended, so that a library built against an older
 * header goes on working; where a server is older, nginx -t refuses a library
 * whose structures are larger than it knows. Pointers to functions that a
 * handler does not need are NULL.
 */
#ifndef WEBSOCKET_PLUGIN_H
#define WEBSOCKET_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEBSOCKET_PLUGIN_VERSION 1

/* The one symbol that a library exports: a websocket_entry_t. */
#define WEBSOCKET_PLUGIN_ENTRY "websocket_plugin"

/* One connected peer, as the server knows it: valid from client_created until
 * client_destroyed has returned. */
typedef struct websocket_client websocket_client_t;

/* One resource, as the server knows it: valid from resource_created until
 * resource_destroyed has returned. */
typedef struct websocket_resource websocket_resource_t;

/* The request that a client connected with. */
typedef struct websocket_request websocket_request_t;

/* A timer that has not been stopped and, unless it repeats, not fired. */
typedef struct websocket_timer websocket_timer_t;

/* A message that is encoded and may be sent to many clients. */
typedef struct websocket_frame websocket_frame_t;

/* Text that is lent, and does not end in a zero byte. Absent: data is NULL. */
typedef struct {
    const char *data;
    size_t size;
} websocket_text_t;

/* The kinds of message, as in the frame's opcode (RFC 6455 5.2). */
enum { WEBSOCKET_TEXT = 1, WEBSOCKET_BINARY = 2 };

/* What became of a message that was to be sent. */
enum {
    WEBSOCKET_QUEUED = 0,       /* sent, or about to be */
    WEBSOCKET_BACKPRESSURE = 1, /* queued behind others the client has yet
                                   to read: client_drained will follow */
    WEBSOCKET_DROPPED = 2,      /* the send queue is full: not sent */
    WEBSOCKET_CLOSED = 3,       /* the connection is closing: not sent */
    WEBSOCKET_INVALID = 4,      /* text that is not UTF-8: not sent */
    WEBSOCKET_UNREACHABLE = 5   /* what connects the hosts is out of reach, or
                                   too much waits for it: not published */
};

/* Levels of nginx's error log. */
enum {
    WEBSOCKET_LOG_ERROR = 4,
    WEBSOCKET_LOG_WARN = 5,
    WEBSOCKET_LOG_NOTICE = 6,
    WEBSOCKET_LOG_INFO = 7,
    WEBSOCKET_LOG_DEBUG = 8
};

/* Names one message of a resource, the same on all workers. The sequence grows
 * by one with each; the epoch is another, and greater, each time the resource
 * has been forgotten and begins anew, with sequence 1. Sequence 0: none. */
typedef struct {
    uint64_t epoch;
    uint64_t sequence;
} websocket_message_id_t;

/* A message that a resource publishes, or has published. Who makes one sets
 * size and version and leaves at 0 what it does not need. A size that ends
 * before `transient`, another version, or anything but 0 behind the fields that
 * the server knows is WEBSOCKET_INVALID. Who is given one reads no further than
 * its size. */
typedef struct {
    size_t size;
    uint32_t version;
    int kind;
    websocket_message_id_t id; /* set by the server */
    uint64_t time;             /* ms since 1970, set by the server */
    uint64_t from;             /* a client's id, or 0 */
    const void *data;
    size_t length;

    /* Not 0: it has no id of its own but that of the message before it, and
     * is never kept: for news of the moment, as who has come. */
    int transient;
} websocket_message_t;

/* What the server does for a handler. */
typedef struct {
    size_t size;
    uint32_t version;

    /*
     * Clients. All may be called in any callback, for any client, also for one
     * that is closing or has just been closed. None of them calls a handler.
     *
     * Order: what is sent to a client, or closes it, after the worker has
     * published something to the client's resource reaches the client after
     * that. In client_connected, client_drained, message_published,
     * messages_lost and clients_lost it reaches the client after what was
     * delivered on this worker by then, unless the same call has published
     * something before. What goes to other hosts too is not waited for.
     */

    /* Sends one message of a kind. The bytes are not needed after the call.
     * Text has to be UTF-8 (RFC 6455 5.6). Returns one of the results above. */
    int (*send)(websocket_client_t *client, int kind, const void *data,
                size_t size);

    /* Sends a Ping with up to 125 bytes; more are cut. Returns as send. */
    int (*send_ping)(websocket_client_t *client, const void *data, size_t size);

    /* Begins the closing handshake (RFC 6455 7.1.2), unless it has begun.
     * `code` is 1000 to 1003, 1007 to 1014 or 3000 to 4999, `reason` UTF-8
     * of at most 123 bytes; another code becomes 1011, more bytes are cut,
     * and what is not UTF-8 is left out. */
    void (*close)(websocket_client_t *client, uint16_t code,
                  websocket_text_t reason);

    /* Bytes that wait for the client beyond what its socket took. */
    size_t (*buffered_amount)(const websocket_client_t *client);

    /* A number that no other client has while nginx runs; below 2^53. */
    uint64_t (*client_id)(const websocket_client_t *client);

    /* The client's request: valid as long as the client. */
    const websocket_request_t *(*client_request)(
        const websocket_client_t *client);

    /*
     * Requests. The text is valid as long as the request; in
     * client_connecting during the call. Where the configuration says
     * `websocket_request release` it is valid until client_connected returns.
     * Asked for afterwards, header fields and variables are absent; the rest
     * is there, and is valid as long as the client.
     */

    websocket_text_t (*request_uri)(const websocket_request_t *request);
    websocket_text_t (*request_args)(const websocket_request_t *request);

    /* The first header field of a name, compared ignoring case. */
    websocket_text_t (*request_header)(const websocket_request_t *request,
                                       websocket_text_t name);

    websocket_text_t (*request_remote_address)(
        const websocket_request_t *request);

    /* The subprotocol agreed on: absent before it is. */
    websocket_text_t (*request_subprotocol)(const websocket_request_t *request);

    /* Any variable of nginx's, without "$". In client_connecting, where the
     * text lasts until the callback returns; and, as long as nginx keeps the
     * request (websocket_request keep), of a client's request. There the text
     * lasts until the variable is asked for again, or 64 others. */
    websocket_text_t (*request_variable)(const websocket_request_t *request,
                                         websocket_text_t name);

    /*
     * Resources.
     */

    /* The key. Empty for a resource that is made to check parameters. */
    websocket_text_t (*resource_name)(const websocket_resource_t *resource);

    /* A parameter of the directive `websocket`: of the first location in the
     * configuration with this handler and the key's text, in whose words the
     * resource was made. A resource may have clients of other locations too,
     * with other parameters: see request_parameter. */
    websocket_text_t (*parameter)(const websocket_resource_t *resource,
                                  websocket_text_t name);

    /* Clients of the resource, on all workers. */
    uint64_t (*client_count)(const websocket_resource_t *resource);

    /* Sends one message to all clients of the resource, on all workers, in
     * one order. On each worker it is encoded once and shared. The bytes are
     * not needed after the call. Returns WEBSOCKET_QUEUED, else nobody gets
     * it: WEBSOCKET_INVALID, WEBSOCKET_DROPPED where the shared memory has no
     * room, or WEBSOCKET_UNREACHABLE. */
    int (*broadcast)(websocket_resource_t *resource, int kind, const void *data,
                     size_t size);

    /* Calls `fired` after so many milliseconds, at least 1, once or again and
     * again. The timer ends with the resource. NULL: no memory, or the
     * resource was made to check parameters. */
    websocket_timer_t *(*start_timer)(websocket_resource_t *resource,
                                      uint64_t milliseconds, int repeats,
                                      void (*fired)(void *data), void *data);

    /* Stops a timer that has not ended: also in its own call, but for one
     * that does not repeat, which has ended when it fires. */
    void (*stop_timer)(websocket_timer_t *timer);

    /* Calls `work` in a thread of nginx's pool "default", and then `done` on
     * the event loop. The resource lives until `done` has returned, though
     * without its object if that could not be made after all. In `work`
     * nothing of this table may be called.
     *
     * A worker that leaves in order waits for its jobs, for at most the time
     * of websocket_drain. When it ends before `done`, `done` is not called: a
     * `work` that has not begun is not begun, one that runs is cut off with
     * the process, and then the resource is not destroyed either.
     *
     * Returns 0 if the job was not taken, as when the resource or the worker
     * ends: then neither is called. */
    int (*run_in_background)(websocket_resource_t *resource,
                             void (*work)(void *data), void (*done)(void *data),
                             void *data);

    /* Writes one line into nginx's error log, with the resource's name. */
    void (*log)(const websocket_resource_t *resource, int level,
                websocket_text_t text);

    /*
     * Messages of a resource, over all workers.
     */

    /* As broadcast, with all that can be said of a message. `id`, unless it
     * is NULL, is set to the message's; where other hosts get the message too
     * that is not known yet, and `id` becomes 0-0: see publish_then. */
    int (*publish)(websocket_resource_t *resource,
                   const websocket_message_t *message,
                   websocket_message_id_t *id);

    /* Has the last `messages` kept, none older than so many milliseconds (0:
     * of any age). It holds for the resource on all workers. To be called in
     * resource_created: the server calls that for the parameters of each
     * location while the configuration is read, and keeps the largest that is
     * asked for by locations with the same handler and key text. Called later
     * it sets just that. */
    void (*keep_history)(websocket_resource_t *resource, uint64_t messages,
                         uint64_t milliseconds);

    /* Calls `each` for the kept messages behind `after`, oldest first, up to
     * the last one that was delivered on this worker, until it returns other
     * than 0. A message is valid during the call. An `after` of another epoch
     * stands for the start. Returns 1 if these are all that came behind
     * `after`, 0 if some are not there any more. Only while the resource has
     * clients here. When much was read, sends from within `each` return
     * WEBSOCKET_BACKPRESSURE: the rest is for client_drained. */
    int (*read_history)(websocket_resource_t *resource,
                        websocket_message_id_t after,
                        int (*each)(void *data,
                                    const websocket_message_t *message),
                        void *data);

    /* The last message that was delivered on this worker; in message_published
     * the message at hand. In client_connected the client gets what comes
     * after it. Only while the resource has clients here. */
    websocket_message_id_t (*last_message)(
        const websocket_resource_t *resource);

    /* Encodes a message to send it to many clients. NULL: no memory, or text
     * that is not UTF-8. */
    websocket_frame_t *(*make_frame)(int kind, const void *data, size_t size);
    void (*drop_frame)(websocket_frame_t *frame);

    /* As send. */
    int (*send_frame)(websocket_client_t *client,
                      const websocket_frame_t *frame);

    /* The name of a parameter of the directive `websocket`, by its place
     * there, from 0; absent behind the last. A name that is given twice is
     * there twice, and has the first value. */
    websocket_text_t (*parameter_name)(const websocket_resource_t *resource,
                                       size_t place);

    /* As publish, and calls `done` exactly once with the result and, if that
     * is WEBSOCKET_QUEUED, the id: before it returns; or later, where other
     * hosts get the message too. The resource lives until `done` has
     * returned, a client may have gone by then. In resource_created and
     * resource_destroyed nobody can wait: there it is called at once, with
     * what publish returns. */
    void (*publish_then)(websocket_resource_t *resource,
                         const websocket_message_t *message,
                         void (*done)(void *data, int result,
                                      websocket_message_id_t id),
                         void *data);

    /* The first name of the location's websocket_subprotocols that the client
     * offers; absent if there is none. For select_subprotocol, of a handler
     * that has subprotocols beside those. */
    websocket_text_t (*request_preferred_subprotocol)(
        const websocket_request_t *request);

    /* A parameter of the directive `websocket` of the location that the
     * request came to: what concerns one client is to be read here, as several
     * locations may share a resource. Valid as long as the client. */
    websocket_text_t (*request_parameter)(const websocket_request_t *request,
                                          websocket_text_t name);
} websocket_server_t;

/*
 * A resource handler. `resource` and `client` are the handler's own objects,
 * as resource_created and client_created returned them.
 *
 * Callbacks that return int return 0 when all went well. Else the handler has
 * written into the log what went wrong, and the server closes the client with
 * 1011, unless the callback says otherwise.
 */
typedef struct {
    size_t size;
    uint32_t version;

    /* As the directive `websocket` names it: letters, digits, "_", "-". */
    const char *name;

    /* A resource is needed: its first client is about to connect, a message
     * is published to it over HTTP, which it does not outlive without clients,
     * or its parameters are to be checked. NULL refuses (500, or nginx -t
     * fails). */
    void *(*resource_created)(websocket_resource_t *resource);
    void (*resource_destroyed)(void *resource);

    /* Checks the parameters of one location, while the configuration is
     * read, on a resource made for that. Returns NULL if they are right, else
     * in one line of words what is wrong, valid as long as the resource. A
     * handler without this callback takes no parameters. */
    const char *(*configured)(void *resource);

    /* A valid opening handshake came. Returns 101 to accept it, or the HTTP
     * status that refuses it, 400 to 599. */
    unsigned (*client_connecting)(void *resource,
                                  const websocket_request_t *request);

    /* Sets `chosen`, which is absent, to one of the subprotocols that the
     * client offers, or leaves it so: none. Without this callback the
     * directive websocket_subprotocols decides. When it fails the handshake
     * is refused with 500. */
    int (*select_subprotocol)(void *resource,
                              const websocket_request_t *request,
                              const websocket_text_t *offered, size_t count,
                              websocket_text_t *chosen);

    /* The handshake will be accepted: makes the handler's object for the
     * client. NULL refuses it with 500. Nothing can be sent yet. */
    void *(*client_created)(void *resource, websocket_client_t *client);
    void (*client_destroyed)(void *resource, void *client);

    /* The client is connected. From here to client_disconnected, which comes
     * exactly once, however the connection ends. */
    int (*client_connected)(void *resource, void *client);

    /* `code` is the one received or sent first; 1005: a Close without one,
     * 1006: the connection ended without a Close. */
    void (*client_disconnected)(void *resource, void *client, uint16_t code,
                                websocket_text_t reason);

    /* A whole message of a kind. The bytes are valid during the call. */
    int (*message_received)(void *resource, void *client, int kind,
                            const void *data, size_t size);

    /* The header of a data frame is read, its payload is not. Returns 0 to
     * accept it, or the code to close with. `fragment` is the length of this
     * frame's payload, `total` that of the message so far with it. */
    uint16_t (*check_message)(void *resource, void *client, int kind,
                              uint64_t fragment, uint64_t total);

    int (*pong_received)(void *resource, void *client, const void *data,
                         size_t size);

    /* All that waited for the client is with its socket now. */
    int (*client_drained)(void *resource, void *client);

    /* A message of the resource: called on each worker where it has clients,
     * in the same order on all, for what was broadcast and published there,
     * on another worker or over HTTP. Without this callback the server sends
     * it to all clients. The message is valid during the call. */
    void (*message_published)(void *resource,
                              const websocket_message_t *message);

    /* Messages that should have come here were lost, as this worker was too
     * slow for the size of the shared memory. Without this callback all
     * clients of this worker are closed with 1013. */
    void (*messages_lost)(void *resource);

    /* Another worker, or another host, has died with clients of the resource,
     * which client_count no longer counts. */
    void (*clients_lost)(void *resource);
} websocket_handler_t;

/* The handlers of one library. */
typedef struct {
    size_t size;
    uint32_t version;
    const websocket_handler_t *const *handlers;
    size_t handler_count;
} websocket_plugin_t;

/* Called once after the library is loaded, in nginx's master. `server` is
 * valid as long as the library is loaded. NULL: cannot be used. */
typedef const websocket_plugin_t *(*websocket_entry_t)(
    const websocket_server_t *server);

#ifdef __cplusplus
}
#endif

#endif
