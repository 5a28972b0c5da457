/*
 * The C interface between nginx-websocket and its resource handlers.
 *
 * The server calls a handler for the clients of the locations that name it,
 * and for their messages. Clients connect to a resource: one object per worker
 * and key. Callbacks run on the event loop of an nginx worker: they must not
 * block. Only `work` of run_in_background runs in another thread, and it must
 * not call the server.
 *
 * Each structure begins with its size and the version of this interface.
 * Fields are only appended, so a library built against an older header keeps
 * working. An older server refuses a library whose structures are larger than
 * its own: nginx -t fails. Callbacks that a handler does not need are NULL.
 */
#ifndef WEBSOCKET_PLUGIN_H
#define WEBSOCKET_PLUGIN_H

#include "websocket_callbacks.h"
#include "websocket_types.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The one symbol that a library exports: a websocket_entry_t. */
#define WEBSOCKET_PLUGIN_ENTRY "websocket_plugin"

/* The functions of the server. */
typedef struct {
    size_t size;
    uint32_t version;

    /*
     * Clients. These may be called in any callback, for any client, closing or
     * closed ones included. None of them calls a handler.
     *
     * Order: a message or Close sent after this worker published to the
     * client's resource reaches the client after that publication. In
     * client_connected, client_drained, message_published, messages_lost and
     * clients_lost it follows the messages delivered so far, unless the same
     * callback published before. With Redis, publications are not waited for.
     */

    /* Sends one message. The bytes need not outlive the call. Text must be
     * UTF-8 (RFC 6455 5.6). Returns one of the results above. */
    int (*send)(websocket_client_t *client, int kind, const void *data,
                size_t size);

    /* Sends a Ping. Bytes beyond 125 are cut. Returns as send. */
    int (*send_ping)(websocket_client_t *client, const void *data, size_t size);

    /* Starts the closing handshake (RFC 6455 7.1.2), unless it has started.
     * `code`: 1000-1003, 1007-1014 or 3000-4999; any other becomes 1011.
     * `reason`: UTF-8, else it is omitted; cut after 123 bytes. */
    void (*close)(websocket_client_t *client, uint16_t code,
                  websocket_text_t reason);

    /* Bytes that wait for the client in the server, beyond its socket. */
    size_t (*buffered_amount)(const websocket_client_t *client);

    /* Unique among all clients while nginx runs. Below 2^53. */
    uint64_t (*client_id)(const websocket_client_t *client);

    /* The client's request. Valid as long as the client. */
    const websocket_request_t *(*client_request)(
        const websocket_client_t *client);

    /*
     * Requests. Returned text is valid as long as the request: in
     * client_connecting and select_subprotocol during the callback, later as
     * long as the client. With `websocket_request release` it is valid until
     * client_connected returns. After that, header fields and variables are
     * absent; other text can be fetched again, valid as long as the client.
     */

    websocket_text_t (*request_uri)(const websocket_request_t *request);
    websocket_text_t (*request_args)(const websocket_request_t *request);

    /* The value of the first header field with this name, in any case. */
    websocket_text_t (*request_header)(const websocket_request_t *request,
                                       websocket_text_t name);

    websocket_text_t (*request_remote_address)(
        const websocket_request_t *request);

    /* The selected subprotocol. Absent before the selection, or if none. */
    websocket_text_t (*request_subprotocol)(const websocket_request_t *request);

    /* An nginx variable, named without "$". The text is valid until the
     * callback returns; for a client's request until this variable, or 64
     * others, are read again. */
    websocket_text_t (*request_variable)(const websocket_request_t *request,
                                         websocket_text_t name);

    /* Resources. */

    /* The key, valid as long as the resource. Empty in parameter checks. */
    websocket_text_t (*resource_name)(const websocket_resource_t *resource);

    /* A parameter of the directive `websocket`, of the first location with this
     * handler and key text. Valid as long as the resource, whose clients may
     * come from locations with other parameters: see request_parameter. */
    websocket_text_t (*parameter)(const websocket_resource_t *resource,
                                  websocket_text_t name);

    /* The number of clients of the resource, over all workers and hosts. */
    uint64_t (*client_count)(const websocket_resource_t *resource);

    /* Publishes a message to all clients of the resource, on all workers, in
     * one order. The bytes need not outlive the call. Returns WEBSOCKET_QUEUED,
     * or, if no client will get it, WEBSOCKET_INVALID, WEBSOCKET_DROPPED
     * (shared memory is full) or WEBSOCKET_UNREACHABLE. */
    int (*broadcast)(websocket_resource_t *resource, int kind, const void *data,
                     size_t size);

    /* Calls `callback` after `milliseconds`, at least 1: once or, if `repeats`
     * is not 0, periodically. Timers end with the resource. NULL: no memory, or
     * parameters are being checked. */
    websocket_timer_t *(*start_timer)(websocket_resource_t *resource,
                                      uint64_t milliseconds, int repeats,
                                      void (*callback)(void *data), void *data);

    /* Stops a valid timer. A repeating one may stop itself in its callback. */
    void (*stop_timer)(websocket_timer_t *timer);

    /* Calls `work` in a thread of nginx's pool "default", then `done` on the
     * event loop. The resource is retained until `done` returns, without the
     * handler's object if resource_created returned NULL after all.
     *
     * A graceful shutdown waits for jobs, at most for websocket_drain. If the
     * worker exits first, `done` is not called: waiting jobs are dropped, a
     * running one is killed with the process, its resource not destroyed.
     *
     * Returns 1, or 0 if the job was rejected, as when the resource or worker
     * ends; then neither function is called. */
    int (*run_in_background)(websocket_resource_t *resource,
                             void (*work)(void *data), void (*done)(void *data),
                             void *data);

    /* Writes a line to nginx's error log, with the handler and the key. */
    void (*log)(const websocket_resource_t *resource, int level,
                websocket_text_t text);

    /* Messages of a resource, over all workers. */

    /* As broadcast, with all properties of the message. Sets `id`, unless it
     * is NULL, to the message's id. With Redis the id is not known yet and `id`
     * becomes 0-0: see publish_then. */
    int (*publish)(websocket_resource_t *resource,
                   const websocket_message_t *message,
                   websocket_message_id_t *id);

    /* Keeps the last `messages` messages, none older than `milliseconds` (0: of
     * any age), on all workers. Call it in resource_created, which the server
     * also calls for each location while it reads the configuration: the
     * largest request of locations with the same handler and key text counts.
     * A later call sets exactly these limits. */
    void (*keep_history)(websocket_resource_t *resource, uint64_t messages,
                         uint64_t milliseconds);

    /* Calls `each` for the kept messages after `after`, oldest first, up to
     * last_message, until it returns non-zero. A message is valid during the
     * call. An `after` of another epoch stands for the start. Returns 1, or 0
     * if messages after `after` are no longer kept. Needs a client of the
     * resource on this worker. After many bytes, sends inside `each` return
     * WEBSOCKET_BACKPRESSURE: continue in client_drained. */
    int (*read_history)(websocket_resource_t *resource,
                        websocket_message_id_t after,
                        int (*each)(void *data,
                                    const websocket_message_t *message),
                        void *data);

    /* The last message delivered on this worker; in message_published, the
     * current one. In client_connected, the client gets what follows it. Needs
     * a client of the resource on this worker. */
    websocket_message_id_t (*last_message)(
        const websocket_resource_t *resource);

    /* Encodes a message; the bytes are copied. NULL: no memory, or text that
     * is not UTF-8. Release it with drop_frame. */
    websocket_frame_t *(*make_frame)(int kind, const void *data, size_t size);
    void (*drop_frame)(websocket_frame_t *frame);

    /* As send. The frame may be dropped after the call. */
    int (*send_frame)(websocket_client_t *client,
                      const websocket_frame_t *frame);

    /* The name of the parameter at `index`, from 0, in the order of the
     * directive `websocket`; absent after the last. A repeated name appears
     * each time; its value is the first. */
    websocket_text_t (*parameter_name)(const websocket_resource_t *resource,
                                       size_t index);

    /* As publish, and calls `done` exactly once with the result and, if it is
     * WEBSOCKET_QUEUED, the id: before it returns or, with Redis, later. The
     * resource is retained until `done` returns; a client may have been
     * destroyed by then. In resource_created and resource_destroyed `done` is
     * called at once with the result of publish. */
    void (*publish_then)(websocket_resource_t *resource,
                         const websocket_message_t *message,
                         void (*done)(void *data, int result,
                                      websocket_message_id_t id),
                         void *data);

    /* The first name in the location's websocket_subprotocols that the client
     * offers; absent if none. For the select_subprotocol of a handler that
     * adds subprotocols of its own. */
    websocket_text_t (*request_preferred_subprotocol)(
        const websocket_request_t *request);

    /* A parameter of the request's location, valid as long as the client. For
     * per-client parameters, since several locations may share a resource. */
    websocket_text_t (*request_parameter)(const websocket_request_t *request,
                                          websocket_text_t name);

    /* The user, as websocket_user or a token names it: at most 256 bytes of
     * UTF-8 without control characters. Empty: nobody. Valid as long as the
     * client, also once the request is released. */
    websocket_text_t (*request_user)(const websocket_request_t *request);

    /* Tokens of the directive websocket_jwt. They work with a released request
     * too. When its token ends, a client is closed with 3000. */

    /* The client's token. NULL: none. Valid until use_token, or as long as the
     * client. */
    const websocket_token_t *(*client_token)(const websocket_client_t *client);

    /* Verifies a token that the client has sent by the rules of its location.
     * NULL: it is not valid, and `error` is set to the reason: one line, valid
     * for ever. Takes up to 1 ms, so it ends the turn of the client: other
     * clients are served before its next message. Release it with drop_token.
     */
    websocket_token_t *(*read_token)(websocket_client_t *client,
                                     websocket_text_t text, const char **error);
    void (*drop_token)(websocket_token_t *token);

    /* Replaces the client's token, and with it when the client is closed.
     * Returns 1, or 0 if the token is of another user (the claim "sub"), or the
     * client came without a token. The caller still drops the token. */
    int (*use_token)(websocket_client_t *client,
                     const websocket_token_t *token);

    /* The claim "exp" in ms since 1970; 0: the token never ends. */
    uint64_t (*token_expires)(const websocket_token_t *token);

    /* Returns 1 if the claim "rooms", a list of names, has this name, or one
     * with "*" at its end that stands for any text; else 0. */
    int (*token_covers)(const websocket_token_t *token, websocket_text_t name);

    /*
     * Subscriptions: a client's places in further resources, those with other
     * keys. Their handler is that of the client, or its `subscribed_handler`.
     * The client counts as one of theirs, and gets what they publish. The order
     * of messages is that of each resource. Sends to the client do not wait
     * for a publication in a further resource.
     */

    /* Subscribes the client to the resource with this key. After the present
     * callback, and before the client's next message, client_subscribed of the
     * resource is called, or subscription_failed of the client's handler. With
     * Redis they may follow later. `since` is passed on; may be NULL. Returns
     * absent text, or why the client is not subscribed. */
    websocket_text_t (*subscribe)(websocket_client_t *client,
                                  websocket_text_t key,
                                  const websocket_message_id_t *since);

    /* Ends a subscription: the client gets nothing more of the resource.
     * client_unsubscribed is called at once, unless client_subscribed was not.
     * Returns 0 if the client was not subscribed. */
    int (*unsubscribe)(websocket_client_t *client, websocket_text_t key);

    /* The client's subscription: `resource` and `subscription` become the
     * handler's objects. Returns 0 if it is not subscribed, or not yet. */
    int (*find_subscription)(const websocket_client_t *client,
                             websocket_text_t key, void **resource,
                             void **subscription);

    /* Calls `each` for this worker's clients that are subscribed to the
     * resource. It may end only the subscription that it is called for. */
    void (*each_subscriber)(websocket_resource_t *resource,
                            void (*each)(void *data, void *client,
                                         void *subscription),
                            void *data);

    /* Calls `each` for the subscriptions of a client, always in the same order,
     * until it returns non-zero. `each` must not change them. */
    void (*each_subscription)(const websocket_client_t *client,
                              int (*each)(void *data, void *resource,
                                          void *subscription),
                              void *data);

    /* A parameter of the directive `websocket_rooms` whose pattern the key
     * fits, in the client's location; without such directives, of `websocket`.
     * Absent text: no such parameter or pattern. Valid as long as the client.
     */
    websocket_text_t (*subscription_parameter)(const websocket_client_t *client,
                                               websocket_text_t key,
                                               websocket_text_t name);

    /* As publish_then, to the resource that a subscription with this key would
     * be in, whether there is one or not. */
    void (*publish_to)(websocket_client_t *client, websocket_text_t key,
                       const websocket_message_t *message,
                       void (*done)(void *data, int result,
                                    websocket_message_id_t id),
                       void *data);

    /*
     * One client or one user of the resource's handler, on any worker and host,
     * whatever the client's resource. `target`: the id as a decimal number, or
     * the user. A count is that of this host: with Redis, the other hosts are
     * reached later, without a report. Messages of one worker to one client
     * stay in order, and arrive at most once.
     */

    /* Sends one message. The bytes need not outlive the call. Returns the
     * number of clients on this host that it was sent to. */
    uint32_t (*send_direct)(websocket_resource_t *resource, int is_user,
                            websocket_text_t target, int kind, const void *data,
                            size_t size);

    /* Closes these clients as `close` does. Returns their number on this host.
     */
    uint32_t (*close_direct)(websocket_resource_t *resource, int is_user,
                             websocket_text_t target, uint16_t code,
                             websocket_text_t reason);

    /* Calls `each` for the users that are in the resource on this host, in the
     * order of their bytes, from the first one after `after` on, with the
     * number of their clients, until it returns non-zero. 0 clients: the user
     * has not left yet, see presence_grace. */
    void (*list_users)(const websocket_resource_t *resource,
                       websocket_text_t after,
                       int (*each)(void *data, websocket_text_t user,
                                   uint32_t clients),
                       void *data);

    /* The number of clients without a user, and of users, in the resource.
     * Further clients of a user do not change it. */
    uint64_t (*count_present)(const websocket_resource_t *resource);

    /* Finds the first `limit` users, at most 1000, after `after` that are in
     * the resource on any host. Calls `done` exactly once: before it returns
     * or, with Redis, later, when the other hosts have answered. `more`: there
     * are further ones. `complete` is 0 if some host could not be asked or has
     * not answered in time; there are no users then. The list is valid during
     * the call. The resource is retained until `done` returns; a client may
     * have been destroyed by then. */
    void (*find_users)(websocket_resource_t *resource, websocket_text_t after,
                       size_t limit,
                       void (*done)(void *data, int complete,
                                    const websocket_user_t *users, size_t count,
                                    int more),
                       void *data);
} websocket_server_t;

/* Called in nginx's master once the library is loaded. `server` is valid as
 * long as the library is loaded. NULL rejects the library. */
typedef const websocket_plugin_t *(*websocket_entry_t)(
    const websocket_server_t *server);

#ifdef __cplusplus
}
#endif

#endif
