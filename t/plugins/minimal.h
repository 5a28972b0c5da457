/*
 * A handler that replies ANSWER to each message, for test plug-ins that have
 * their own list of handlers.
 */
#ifndef MINIMAL_H
#define MINIMAL_H

#include "websocket_plugin.h"

#ifndef ANSWER
#define ANSWER "answer"
#endif

static const websocket_server_t *server;

static inline void *resource_created(websocket_resource_t *resource)
{
    return resource;
}

static inline void *client_created(void *resource, websocket_client_t *client)
{
    (void)resource;
    return client;
}

static inline int message_received(void *resource, void *client, int kind,
                                   const void *data, size_t size)
{
    (void)resource, (void)data, (void)size;
    server->send(client, kind, ANSWER, sizeof ANSWER - 1);
    return 0;
}

/* Further designated initializers may follow the name. */
#define HANDLER(...)                                                           \
    {                                                                          \
        .size = sizeof(websocket_handler_t),                                   \
        .version = WEBSOCKET_PLUGIN_VERSION,                                   \
        .resource_created = resource_created,                                  \
        .client_created = client_created,                                      \
        .message_received = message_received, .name = __VA_ARGS__              \
    }

#endif
