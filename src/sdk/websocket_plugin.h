/*
 * The C interface between nginx-websocket and its resource handlers.
 *
 * A handler is told of the messages of the clients that are connected to the
 * locations which name it. Everything here runs on the event loop of an nginx
 * worker: a callback returns soon and never blocks, and nothing here may be
 * called from another thread.
 *
 * Each structure begins with its size and the version of this interface, and
 * fields are only ever appended.
 */
#ifndef WEBSOCKET_PLUGIN_H
#define WEBSOCKET_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEBSOCKET_PLUGIN_VERSION 1

/* One connected peer. Valid from its first callback until the connection has
 * ended. */
typedef struct websocket_client websocket_client_t;

/* The kinds of message, as in the frame's opcode (RFC 6455 5.2). */
enum { WEBSOCKET_TEXT = 1, WEBSOCKET_BINARY = 2 };

/* What became of a message that was to be sent. */
enum {
    WEBSOCKET_QUEUED = 0,       /* sent, or about to be */
    WEBSOCKET_BACKPRESSURE = 1, /* queued behind others the client has yet
                                   to read */
    WEBSOCKET_DROPPED = 2,      /* the send queue is full: not sent */
    WEBSOCKET_CLOSED = 3        /* the connection is closing: not sent */
};

/* One name=value of the directive `websocket`. Ends in a zero byte each. */
typedef struct {
    const char *name;
    const char *value;
} websocket_parameter_t;

/* What the server does for a handler. */
typedef struct {
    size_t size;
    uint32_t version;

    /*
     * Sends one message of a kind. The bytes are not needed after the call.
     * Text has to be UTF-8 (RFC 6455 5.6): it is not checked. Returns one of
     * the results above.
     */
    int (*send)(websocket_client_t *client, int kind, const void *data,
                size_t size);
} websocket_server_t;

/* A resource handler. */
typedef struct {
    size_t size;
    uint32_t version;

    /* As the directive `websocket` names it. */
    const char *name;

    /*
     * Checks the parameters of one location, while the configuration is read.
     * Returns NULL if they are right, else what is wrong in one line of
     * words, which ends in a zero byte and stays valid.
     */
    const char *(*configured)(const websocket_parameter_t *parameters,
                              size_t count);

    /* A whole message of a kind. The bytes are valid during the call. */
    void (*message_received)(websocket_client_t *client, int kind,
                             const void *data, size_t size);
} websocket_handler_t;

/* What a library of handlers gives when it is loaded. */
typedef const websocket_handler_t *(*websocket_entry_t)(
    const websocket_server_t *server);

#ifdef __cplusplus
}
#endif

#endif
