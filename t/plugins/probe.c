/*
 * Test handlers over the C interface, which write each callback to the error
 * log. Text messages are scripts, as are the parameters of a location that have
 * the names of callbacks.
 */
#define _GNU_SOURCE
#include "probe_script.h"

#include <unistd.h>

static void *resource_created(websocket_resource_t *handle)
{
    struct room *room = calloc(1, sizeof *room);

    room->handle = handle;

    if (parameter(room, "resource").data != NULL &&
        server->resource_name(handle).size != 0) {
        free(room);
        return NULL;
    }
    if (server->resource_name(handle).size != 0) {
        note(room, "resource created");
        run_parameter(room, NULL, "started");
    } else if (server->start_timer(handle, 1, 0, ticked, room) != NULL) {
        note(room, "a timer on a resource made for checking");
    }
    return room;
}

static void resource_destroyed(void *resource)
{
    struct room *room = resource;

    if (server->resource_name(room->handle).size != 0) {
        note(room, "resource destroyed");
    }
    while (room->tickers != NULL) {
        struct ticker *next = room->tickers->next;
        free(room->tickers);
        room->tickers = next;
    }
    free(room);
}

static const char *check_parameters(void *resource)
{
    static char reason[100];
    websocket_text_t wrong = parameter(resource, "wrong");

    snprintf(reason, sizeof reason, "%.*s", (int)wrong.size, wrong.data);
    return wrong.data == NULL ? NULL : reason;
}

static unsigned client_connecting(void *resource,
                                  const websocket_request_t *request)
{
    websocket_text_t variable = parameter(resource, "variable");
    websocket_text_t status = parameter(resource, "status");

    if (variable.data != NULL) {
        variable = server->request_variable(request, variable);
        note(resource, "variable %s %.*s",
             variable.data == NULL ? "absent" : "is", (int)variable.size,
             variable.data);
    }
    return status.data == NULL ? 101 : (unsigned)atoi(status.data);
}

static int select_subprotocol(void *resource,
                              const websocket_request_t *request,
                              const websocket_text_t *offered, size_t count,
                              websocket_text_t *chosen)
{
    (void)request;
    for (size_t i = 0; i != count; i++) {
        note(resource, "offered %.*s", (int)offered[i].size, offered[i].data);
    }
    *chosen = parameter(resource, "subprotocol");
    return parameter(resource, "unable").data == NULL ? 0 : 1;
}

static void *client_created(void *resource, websocket_client_t *handle)
{
    struct room *room = resource;
    struct member *member;

    if (parameter(room, "created").data != NULL) {
        return NULL;
    }
    member = calloc(1, sizeof *member);
    member->handle = handle;
    note(room, "created %lu", id_of(member));
    if (parameter(room, "early").data != NULL) {
        send_to(room, member, "too early");
    }
    return member;
}

static void client_destroyed(void *resource, void *client)
{
    note(resource, "destroyed %lu", id_of(client));
    free(client);
}

static int client_connected(void *resource, void *client)
{
    struct room *room = resource;
    struct member *self = client;

    self->next = room->members;
    room->members = self;
    note(room, "connected %lu", id_of(self));
    return run_parameter(room, self, "connected");
}

static void client_disconnected(void *resource, void *client, uint16_t code,
                                websocket_text_t reason)
{
    struct room *room = resource;
    struct member **at = &room->members;

    while (*at != client) {
        at = &(*at)->next;
    }
    *at = (*at)->next;
    note(room, "disconnected %lu %u \"%.*s\"", id_of(client), code,
         (int)reason.size, reason.data);
    run_parameter(room, client, "disconnected");
}

/* Sends the data as text and as binary, then without its start, then without
 * its end. */
static int send_back(struct member *self, const char *data, size_t size)
{
    server->send(self->handle, WEBSOCKET_TEXT, data, size);
    server->send(self->handle, WEBSOCKET_BINARY, data, size);
    server->send(self->handle, WEBSOCKET_TEXT, data + 4, size - 4);
    server->send(self->handle, WEBSOCKET_BINARY, data, size - 1);
    return 0;
}

static int message_received(void *resource, void *client, int kind,
                            const void *data, size_t size)
{
    struct member *self = client;

    if (kind == WEBSOCKET_BINARY) {
        server->send(self->handle, kind, data, size);
        return 0;
    }
    if (size >= 4 && memcmp(data, "back", 4) == 0) {
        return send_back(self, data, size);
    }
    return run_script(resource, self, (websocket_text_t){data, size});
}

static uint16_t check_message(void *resource, void *client, int kind,
                              uint64_t fragment, uint64_t total)
{
    websocket_text_t largest = parameter(resource, "largest");
    websocket_text_t code = parameter(resource, "code");

    (void)client;
    if (parameter(resource, "slow").data != NULL) {
        usleep(1000);
    }
    if (largest.data == NULL) {
        return 0;
    }
    note(resource, "check %d %llu %llu", kind, (unsigned long long)fragment,
         (unsigned long long)total);
    return total > strtoull(largest.data, NULL, 10)
               ? (uint16_t)atoi(code.data == NULL ? "4009" : code.data)
               : 0;
}

static int pong_received(void *resource, void *client, const void *data,
                         size_t size)
{
    note(resource, "pong %.*s", (int)size, (const char *)data);
    return run_parameter(resource, client, "pong");
}

static int client_drained(void *resource, void *client)
{
    note(resource, "drained %lu", id_of(client));
    return run_parameter(resource, client, "drained");
}

static const websocket_handler_t probe = {
    .size = sizeof(websocket_handler_t),
    .version = WEBSOCKET_PLUGIN_VERSION,
    .name = "probe",
    .resource_created = resource_created,
    .resource_destroyed = resource_destroyed,
    .check_parameters = check_parameters,
    .client_connecting = client_connecting,
    .select_subprotocol = select_subprotocol,
    .client_created = client_created,
    .client_destroyed = client_destroyed,
    .client_connected = client_connected,
    .client_disconnected = client_disconnected,
    .message_received = message_received,
    .check_message = check_message,
    .pong_received = pong_received,
    .client_drained = client_drained,
};

/* A handler with the required callbacks alone. */
static const websocket_handler_t bare = {
    .size = sizeof(websocket_handler_t),
    .version = WEBSOCKET_PLUGIN_VERSION,
    .name = "bare",
    .resource_created = resource_created,
    .client_created = client_created,
};

static const websocket_handler_t *const handlers[] = {&probe, &bare};

static const websocket_plugin_t plugin = {
    .size = sizeof(websocket_plugin_t),
    .version = WEBSOCKET_PLUGIN_VERSION,
    .handlers = handlers,
    .handler_count = 2,
};

const websocket_plugin_t *websocket_plugin(const websocket_server_t *given);

const websocket_plugin_t *websocket_plugin(const websocket_server_t *given)
{
    server = given;
    return &plugin;
}
