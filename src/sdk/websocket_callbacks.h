/*
 * The callbacks of a resource handler, and the list of a library's handlers.
 * Included by websocket_plugin.h, whose rules apply.
 */
#ifndef WEBSOCKET_CALLBACKS_H
#define WEBSOCKET_CALLBACKS_H

#include "websocket_types.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A resource handler. `resource` and `client` are the handler's own objects,
 * returned by resource_created and client_created.
 *
 * Callbacks that return int return 0 for success. Otherwise they have logged
 * the error, and the server closes the client with 1011 unless stated here.
 */
typedef struct websocket_handler {
    size_t size;
    uint32_t version;

    /* The name in the directive `websocket`: letters, digits, "_", "-". */
    const char *name;

    /* Creates the handler's object of a resource, to connect its first client,
     * check parameters, or publish over HTTP. Without clients it is destroyed
     * after publishing. NULL: 500, or nginx -t fails. */
    void *(*resource_created)(websocket_resource_t *resource);
    void (*resource_destroyed)(void *resource);

    /* Checks the parameters of one location while nginx reads its
     * configuration, on a resource created for that. Returns NULL, or a
     * one-line error, valid as long as the resource: nginx -t fails with it. A
     * handler without this callback takes no parameters. `configured` is the
     * deprecated name of the same field. */
    __extension__ union {
        const char *(*check_parameters)(void *resource);
        const char *(*configured)(void *resource);
    };

    /* Checks a valid opening handshake. Returns 101 to accept it, or an HTTP
     * status of 400 to 599 to reject it. */
    unsigned (*client_connecting)(void *resource,
                                  const websocket_request_t *request);

    /* Sets `chosen`, initially absent, to one of the offered subprotocols, or
     * leaves it absent for none. Without this callback the directive
     * websocket_subprotocols decides. Failure rejects with 500. */
    int (*select_subprotocol)(void *resource,
                              const websocket_request_t *request,
                              const websocket_text_t *offered, size_t count,
                              websocket_text_t *chosen);

    /* Creates the handler's object of a client before the handshake is
     * accepted. NULL rejects it with 500. Sends return WEBSOCKET_CLOSED. */
    void *(*client_created)(void *resource, websocket_client_t *client);
    void (*client_destroyed)(void *resource, void *client);

    /* The client is connected: messages can be sent. client_disconnected
     * follows exactly once, however the connection ends. */
    int (*client_connected)(void *resource, void *client);

    /* `code` is the one received or sent first; 1005: a Close without a code,
     * 1006: the connection ended without a Close. */
    void (*client_disconnected)(void *resource, void *client, uint16_t code,
                                websocket_text_t reason);

    /* A whole message. The bytes are valid during the call. */
    int (*message_received)(void *resource, void *client, int kind,
                            const void *data, size_t size);

    /* Checks a data frame after its header, before its payload. Returns 0 to
     * accept it, or a close code. `fragment`: bytes of this frame's payload;
     * `total`: bytes of the message up to the end of this frame. */
    uint16_t (*check_message)(void *resource, void *client, int kind,
                              uint64_t fragment, uint64_t total);

    int (*pong_received)(void *resource, void *client, const void *data,
                         size_t size);

    /* The client's send queue is empty again. */
    int (*client_drained)(void *resource, void *client);

    /* A message published by any worker, host or HTTP request, valid during the
     * call. Called on each worker with clients of the resource, in the same
     * order on all. Without this callback all clients get the message. */
    void (*message_published)(void *resource,
                              const websocket_message_t *message);

    /* This worker lost messages: it was too slow for the size of the shared
     * memory. Without this callback its clients are closed with 1013. */
    void (*messages_lost)(void *resource);

    /* client_count may have changed although no client joined or left on this
     * worker: another worker or host died, returned, or could not publish. */
    void (*clients_lost)(void *resource);

    /* The handler of the resources that clients are subscribed to; NULL: this
     * one. If another handler has this name, their resources with equal keys
     * share messages, history and number of clients. */
    const struct websocket_handler *subscribed_handler;

    /* Bytes of `subscription`, memory that the server gives each subscription.
     * It is zeroed, aligned for a pointer, and not moved. */
    size_t subscription_size;

    /* A client was subscribed to the resource. It gets what follows
     * last_message. `since` is valid during the call. `client` belongs to the
     * handler of the client. Failure closes the client. */
    int (*client_subscribed)(void *resource, void *client, void *subscription,
                             const websocket_message_id_t *since);

    /* The subscription has ended, by unsubscribe or with the client: exactly
     * once after client_subscribed. */
    void (*client_unsubscribed)(void *resource, void *client,
                                void *subscription);

    /* A client was not subscribed after all. `resource` is that of the client.
     * Texts are valid during the call. */
    int (*subscription_failed)(void *resource, void *client,
                               websocket_text_t key, websocket_text_t reason);

    /* A message for this client alone, or for its user: see send_direct. It has
     * no id. Without this callback the client gets its bytes. */
    int (*direct_received)(void *resource, void *client,
                           const websocket_message_t *message);

    /*
     * Presence by user, see websocket_user. A user may have many clients.
     */

    /* Called before client_connected, or before client_subscribed if
     * `subscribed` is not 0, for a client with a user. Returns how many
     * milliseconds after the last client the user has left the resource: one
     * who returns before has not left. The largest of a resource counts.
     * Negative, or NULL: the next two are not called for this client. */
    int64_t (*presence_grace)(void *resource, void *client, int subscribed);

    /* A user's first client is in the resource, or the last one is not any
     * more, over all workers. Called as message_published, in one order with
     * it. The text is valid during the call. `client`: the id of that client;
     * 0: its worker died. After a process was killed, user_left may be called
     * twice. */
    void (*user_joined)(void *resource, websocket_text_t user, uint64_t client);
    void (*user_left)(void *resource, websocket_text_t user, uint64_t client);
} websocket_handler_t;

/* The handlers of a library. */
typedef struct {
    size_t size;
    uint32_t version;
    const websocket_handler_t *const *handlers;
    size_t handler_count;
} websocket_plugin_t;

#ifdef __cplusplus
}
#endif

#endif
