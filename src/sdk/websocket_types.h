/*
 * The types and constants of the C interface between nginx-websocket and its
 * resource handlers. Included by websocket_plugin.h.
 */
#ifndef WEBSOCKET_TYPES_H
#define WEBSOCKET_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEBSOCKET_PLUGIN_VERSION 1

/* One connected peer, from client_created until client_destroyed returns. */
typedef struct websocket_client websocket_client_t;

/* One resource, from resource_created until resource_destroyed returns. */
typedef struct websocket_resource websocket_resource_t;

/* The HTTP request of a client's opening handshake. */
typedef struct websocket_request websocket_request_t;

/* A timer. Valid until it is stopped or, unless it repeats, has fired. */
typedef struct websocket_timer websocket_timer_t;

/* A message that is encoded once, to be sent to many clients. */
typedef struct websocket_frame websocket_frame_t;

/* A signed token that has been verified. */
typedef struct websocket_token websocket_token_t;

/* Borrowed text, not zero-terminated. Absent: data is NULL. */
typedef struct {
    const char *data;
    size_t size;
} websocket_text_t;

/* The kinds of message, as in the frame's opcode (RFC 6455 5.2). */
enum { WEBSOCKET_TEXT = 1, WEBSOCKET_BINARY = 2 };

/* Results of sending and publishing. */
enum {
    WEBSOCKET_QUEUED = 0,       /* accepted */
    WEBSOCKET_BACKPRESSURE = 1, /* accepted, but earlier bytes still wait for
                                   the client: client_drained will follow */
    WEBSOCKET_DROPPED = 2,      /* not sent: the send queue is full */
    WEBSOCKET_CLOSED = 3,       /* not sent: the connection is closing */
    WEBSOCKET_INVALID = 4,      /* not sent: the text is not UTF-8 */
    WEBSOCKET_UNREACHABLE = 5   /* not published: Redis is unreachable, or its
                                   queue is full */
};

/* Levels of nginx's error log. */
enum {
    WEBSOCKET_LOG_ERROR = 4,
    WEBSOCKET_LOG_WARN = 5,
    WEBSOCKET_LOG_NOTICE = 6,
    WEBSOCKET_LOG_INFO = 7,
    WEBSOCKET_LOG_DEBUG = 8
};

/* Identifies one message of a resource, on all workers. The sequence grows by
 * one with each message. The epoch grows each time the resource's log is
 * created again; its first sequence is 1. Sequence 0: no message. */
typedef struct {
    uint64_t epoch;
    uint64_t sequence;
} websocket_message_id_t;

/* A user, and the number of its clients in a resource. */
typedef struct {
    websocket_text_t name;
    uint32_t clients;
} websocket_user_t;

/* A message of a resource. To publish one, set size and version, and leave
 * unused fields 0. The result is WEBSOCKET_INVALID if the size ends before
 * `transient`, the version differs, or a field that the server does not know is
 * not 0. In a callback, read no further than `size`. */
typedef struct {
    size_t size;
    uint32_t version;
    int kind;
    websocket_message_id_t id; /* set by the server */
    uint64_t time;             /* ms since 1970, set by the server */
    uint64_t from;             /* the publishing client's id, or 0 */
    const void *data;
    size_t length;

    /* Not 0: the message is not kept in the history and has the id of the
     * message before it. For events such as presence. */
    int transient;

    /* The bytes that `data` of publish_then refers to. They count in the queue
     * of websocket_redis until the result is known. */
    size_t callback_bytes;

    /* The user of the publishing client, at most 256 bytes of UTF-8, or absent.
     * Longer ones are omitted. */
    websocket_text_t user;
} websocket_message_t;

#ifdef __cplusplus
}
#endif

#endif
