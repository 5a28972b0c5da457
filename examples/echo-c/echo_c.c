/*
 * A handler in C11. It sends each text message back after the number of the
 * client's messages, and each binary message unchanged. A parameter is put
 * before the number:
 *
 *     websocket echo_c "prefix=message ";
 */
#include "websocket_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { prefix_limit = 100 };

/* The resource: one for each worker and key. */
struct room {
    websocket_resource_t *handle;
    websocket_text_t prefix; /* valid as long as the handle */
};

/* One client. */
struct peer {
    websocket_client_t *handle;
    unsigned long messages;
};

static const websocket_server_t *server;

static void note(const struct room *room, int level, const char *text)
{
    server->log(room->handle, level, (websocket_text_t){text, strlen(text)});
}

static void *resource_created(websocket_resource_t *handle)
{
    static const websocket_text_t name = {"prefix", sizeof "prefix" - 1};
    struct room *room = malloc(sizeof *room);

    if (room == NULL) {
        return NULL; /* refuses with 500 */
    }

    room->handle = handle;
    room->prefix = server->parameter(handle, name);
    return room;
}

static void resource_destroyed(void *resource)
{
    free(resource);
}

/* `nginx -t` fails with what is returned. */
static const char *check_parameters(void *resource)
{
    const struct room *room = resource;

    if (room->prefix.size > prefix_limit) {
        return "prefix has more than 100 bytes";
    }

    /* Text messages must be UTF-8, which ASCII is. */
    for (size_t i = 0; i != room->prefix.size; i++) {
        if (room->prefix.data[i] < ' ' || room->prefix.data[i] > '~') {
            return "prefix has other characters than printable ASCII";
        }
    }

    return NULL;
}

static void *client_created(void *resource, websocket_client_t *handle)
{
    struct peer *peer = calloc(1, sizeof *peer);

    (void)resource;

    if (peer != NULL) {
        peer->handle = handle;
    }

    return peer; /* NULL refuses with 500 */
}

static void client_destroyed(void *resource, void *client)
{
    (void)resource;
    free(client);
}

static void client_disconnected(void *resource, void *client, uint16_t code,
                                websocket_text_t reason)
{
    const struct peer *peer = client;
    char line[80];

    (void)reason;
    snprintf(line, sizeof line, "client left with %u after %lu messages",
             (unsigned)code, peer->messages);
    note(resource, WEBSOCKET_LOG_INFO, line);
}

/* Sends prefix, number and message; not 0 where there is no memory. */
static int send_numbered(const struct room *room, const struct peer *peer,
                         const void *data, size_t size)
{
    char number[32];
    const size_t digits =
        (size_t)snprintf(number, sizeof number, "%lu: ", peer->messages);
    const size_t start = room->prefix.size + digits;
    char *const answer = malloc(start + size);

    if (answer == NULL) {
        note(room, WEBSOCKET_LOG_ERROR, "no memory for an answer");
        return 1; /* closes this client with 1011 */
    }

    if (room->prefix.size != 0) {
        memcpy(answer, room->prefix.data, room->prefix.size);
    }
    memcpy(answer + room->prefix.size, number, digits);
    if (size != 0) {
        memcpy(answer + start, data, size);
    }

    /* The result may be ignored: the server handles full queues and clients
     * that leave. */
    server->send(peer->handle, WEBSOCKET_TEXT, answer, start + size);
    free(answer);
    return 0;
}

static int message_received(void *resource, void *client, int kind,
                            const void *data, size_t size)
{
    struct peer *peer = client;

    peer->messages++;

    if (kind == WEBSOCKET_TEXT) {
        return send_numbered(resource, peer, data, size);
    }

    server->send(peer->handle, kind, data, size);
    return 0;
}

/* Callbacks that are not named are NULL: not needed. */
static const websocket_handler_t echo_c = {
    .size = sizeof(websocket_handler_t),
    .version = WEBSOCKET_PLUGIN_VERSION,
    .name = "echo_c",
    .resource_created = resource_created,
    .resource_destroyed = resource_destroyed,
    .check_parameters = check_parameters,
    .client_created = client_created,
    .client_destroyed = client_destroyed,
    .client_disconnected = client_disconnected,
    .message_received = message_received,
};

static const websocket_handler_t *const handlers[] = {&echo_c};

static const websocket_plugin_t plugin = {
    .size = sizeof(websocket_plugin_t),
    .version = WEBSOCKET_PLUGIN_VERSION,
    .handlers = handlers,
    .handler_count = sizeof handlers / sizeof handlers[0],
};

/* The one symbol that has to be seen from outside. */
__attribute__((visibility("default"))) const websocket_plugin_t *
websocket_plugin(const websocket_server_t *given);

const websocket_plugin_t *websocket_plugin(const websocket_server_t *given)
{
    if (given->version == WEBSOCKET_PLUGIN_VERSION &&
        given->size < sizeof(websocket_server_t)) {
        return NULL; /* an older server, without all that is called here */
    }

    server = given;
    return &plugin; /* of another version it is refused, with words */
}
