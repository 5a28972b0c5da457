/*
 * Handlers over the C interface whose clients are subscribed to further
 * resources. Text messages are a letter and a key.
 */
#include "websocket_plugin.h"

#define message_received minimal_message_received
#include "minimal.h"
#undef message_received

#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct place {
    unsigned number, zero;
    char filled[100];
};

static void answer(websocket_client_t *client, const char *text)
{
    server->send(client, WEBSOCKET_TEXT, text, strlen(text));
}

static int client_subscribed(void *resource, void *client, void *subscription,
                             const websocket_message_id_t *since)
{
    struct place *place = subscription;
    websocket_text_t name = server->resource_name(resource);
    char text[100];

    snprintf(text, sizeof text, "in %.*s %u %llu", (int)name.size, name.data,
             place->number + place->zero,
             since == NULL ? 0 : (unsigned long long)since->sequence);
    memset(place, 0xff, sizeof *place);
    place->number = 1;
    answer(client, text);
    return name.size == 4 && memcmp(name.data, "fail", 4) == 0;
}

static void client_unsubscribed(void *resource, void *client,
                                void *subscription)
{
    struct place *place = subscription;

    (void)resource;
    answer(client, place->number == 1 ? "out" : "wrong memory");
}

static int subscription_failed(void *resource, void *client,
                               websocket_text_t key, websocket_text_t reason)
{
    char text[100];

    (void)resource;
    snprintf(text, sizeof text, "failed %zu %.*s", key.size, (int)reason.size,
             reason.data);
    answer(client, text);
    return reason.size == 0;
}

static void count_subscriber(void *data, void *client, void *subscription)
{
    (void)client;
    *(unsigned *)data += ((struct place *)subscription)->number;
}

static int find_second(void *data, void *resource, void *subscription)
{
    (void)resource, (void)subscription;
    return ++*(unsigned *)data == 2;
}

static void published(void *data, int result, websocket_message_id_t id)
{
    (void)id;
    answer(data, result == WEBSOCKET_QUEUED ? "published" : "refused");
}

static int message_received(void *home, void *client, int kind,
                            const void *data, size_t size)
{
    const char *command = data;
    const websocket_text_t key = {command + 1, size - 1};
    const websocket_message_id_t since = {1, 5};
    const websocket_message_t message = {.size = sizeof message,
                                         .version = WEBSOCKET_PLUGIN_VERSION,
                                         .kind = WEBSOCKET_TEXT,
                                         .data = "sent",
                                         .length = 4};
    websocket_text_t refusal;
    void *resource = NULL, *subscription = NULL;
    unsigned count = 0;
    char text[100];

    (void)home, (void)kind;

    switch (command[0]) {
    case 's':
        refusal = server->subscribe(client, key, &since);
        snprintf(text, sizeof text, "%s %.*s",
                 refusal.data == NULL ? "yes" : "no", (int)refusal.size,
                 refusal.data == NULL ? "" : refusal.data);
        break;
    case 'u':
        snprintf(text, sizeof text, "%d", server->unsubscribe(client, key));
        break;
    case 'p':
        server->publish_to(client, key, &message, published, client);
        return 0;
    case 'e':
        server->each_subscription(client, find_second, &count);
        snprintf(text, sizeof text, "visited %u", count);
        break;
    default:
        if (server->find_subscription(client, key, &resource, &subscription)) {
            server->each_subscriber(resource, count_subscriber, &count);
        }
        snprintf(text, sizeof text, "subscribers %u", count);
    }

    answer(client, text);
    return 0;
}

static const websocket_handler_t in_c = {
    .size = sizeof in_c,
    .version = WEBSOCKET_PLUGIN_VERSION,
    .name = "in_c",
    .resource_created = resource_created,
    .client_created = client_created,
    .message_received = message_received,
    .subscription_size = sizeof(struct place),
    .client_subscribed = client_subscribed,
    .client_unsubscribed = client_unsubscribed,
    .subscription_failed = subscription_failed};

/* Of a header file without subscriptions: what follows is not its own. */
static const websocket_handler_t before = {
    .size = offsetof(websocket_handler_t, subscribed_handler),
    .version = WEBSOCKET_PLUGIN_VERSION,
    .name = "before",
    .resource_created = resource_created,
    .client_created = client_created,
    .message_received = message_received,
    .subscribed_handler = (const void *)8,
    .subscription_size = (size_t)-1,
    .client_subscribed =
        (int (*)(void *, void *, void *, const websocket_message_id_t *))8};

/* Its clients are subscribed to resources of a handler of the same list. */
static const websocket_handler_t linked = {.size = sizeof linked,
                                           .version = WEBSOCKET_PLUGIN_VERSION,
                                           .name = "linked",
                                           .resource_created = resource_created,
                                           .client_created = client_created,
                                           .message_received = message_received,
                                           .subscribed_handler = &in_c};

static const websocket_handler_t *const handlers[] = {&linked, &before, &in_c};
static const websocket_plugin_t plugin = {
    sizeof(websocket_plugin_t), WEBSOCKET_PLUGIN_VERSION, handlers, 3};

const websocket_plugin_t *websocket_plugin(const websocket_server_t *given);
const websocket_plugin_t *websocket_plugin(const websocket_server_t *given)
{
    server = given;
    return &plugin;
}
