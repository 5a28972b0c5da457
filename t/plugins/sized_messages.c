/*
 * A handler that publishes messages of another size than that of its header
 * file. "N B" adds N bytes with the value B. Each message ends before a page
 * without access.
 */
#define _GNU_SOURCE
#include "websocket_plugin.h"

#define message_received minimal_message_received
#include "minimal.h"
#undef message_received

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

static unsigned char *page; /* and behind it one without access */
static int last_result;

static void done(void *data, int result, websocket_message_id_t id)
{
    (void)data, (void)id;
    last_result = result;
}

static const websocket_message_t *copy(int more, int fill, const char *text)
{
    const size_t known = sizeof(websocket_message_t);
    const size_t size = (size_t)((int)known + more);
    const websocket_message_t whole = {.size = size,
                                       .version = WEBSOCKET_PLUGIN_VERSION,
                                       .kind = WEBSOCKET_TEXT,
                                       .data = text,
                                       .length = strlen(text)};
    unsigned char *at = page + PAGE - size;

    memset(at, fill, size);
    memcpy(at, &whole, size < known ? size : known);
    return (const websocket_message_t *)at;
}

static int message_received(void *resource, void *client, int kind,
                            const void *data, size_t size)
{
    char text[64], answer[64];
    const websocket_message_t *message;
    int more = 0, fill = 0, result;

    snprintf(text, sizeof text, "published %.*s", (int)size,
             (const char *)data);
    if (sscanf(text, "published %d %d", &more, &fill) != 2) {
        return 1;
    }

    message = copy(more, fill, text);
    result = server->publish(resource, message, NULL);

    message = copy(more, fill, "");
    last_result = -1;
    server->publish_then(resource, message, done, NULL);

    snprintf(answer, sizeof answer, "publish %d, publish_then %d", result,
             last_result);
    server->send(client, kind, answer, strlen(answer));
    return 0;
}

static const websocket_handler_t sized = HANDLER("sized");
static const websocket_handler_t *const handlers[] = {&sized};
static const websocket_plugin_t plugin = {
    sizeof(websocket_plugin_t), WEBSOCKET_PLUGIN_VERSION, handlers, 1};

const websocket_plugin_t *websocket_plugin(const websocket_server_t *given);
const websocket_plugin_t *websocket_plugin(const websocket_server_t *given)
{
    server = given;
    page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || mprotect(page + PAGE, PAGE, PROT_NONE) != 0) {
        return NULL;
    }
    return &plugin;
}
