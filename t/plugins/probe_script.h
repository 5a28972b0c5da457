/*
 * The scripts of the test handlers: actions with ";" between them. They write
 * their results into the error log at notice.
 *
 *     self TEXT | others TEXT | all TEXT | bytes TEXT | ping TEXT
 *     cut TEXT | cutall TEXT: without the last byte
 *     close self|others CODE REASON | fail | ask WHAT [NAME] | fill COUNT
 *     after MS ACTION | every MS TIMES ACTION | stop
 */
#ifndef PROBE_SCRIPT_H
#define PROBE_SCRIPT_H

#include "websocket_plugin.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct room;

struct member {
    struct member *next;
    websocket_client_t *handle;
};

struct ticker {
    struct ticker *next;
    struct room *room;
    websocket_timer_t *timer;
    int left; /* 0: it fires once */
    char action[100];
};

struct room {
    websocket_resource_t *handle;
    struct member *members;
    struct ticker *tickers;
};

static const websocket_server_t *server;

static int run_script(struct room *room, struct member *self,
                      websocket_text_t script);

static websocket_text_t text(const char *string)
{
    return (websocket_text_t){string, string == NULL ? 0 : strlen(string)};
}

__attribute__((format(printf, 2, 3))) static void note(struct room *room,
                                                       const char *format, ...)
{
    char line[1000];
    va_list values;

    va_start(values, format);
    vsnprintf(line, sizeof line, format, values);
    va_end(values);
    server->log(room->handle, WEBSOCKET_LOG_NOTICE, text(line));
}

static unsigned long id_of(struct member *self)
{
    return (unsigned long)server->client_id(self->handle);
}

static websocket_text_t parameter(struct room *room, const char *name)
{
    return server->parameter(room->handle, text(name));
}

static int run_parameter(struct room *room, struct member *self,
                         const char *name)
{
    return run_script(room, self, parameter(room, name));
}

/* Timers */

static void ticked(void *data)
{
    struct ticker *ticker = data;

    if (ticker->left > 0 && --ticker->left == 0) {
        server->stop_timer(ticker->timer);
        note(ticker->room, "stopped");
    }

    run_script(ticker->room, NULL, text(ticker->action));
}

static void start_ticker(struct room *room, int milliseconds, int times,
                         const char *action)
{
    struct ticker *ticker = calloc(1, sizeof *ticker);

    ticker->room = room;
    ticker->left = times;
    snprintf(ticker->action, sizeof ticker->action, "%s", action);
    ticker->timer = server->start_timer(room->handle, (uint64_t)milliseconds,
                                        times != 0, ticked, ticker);
    ticker->next = room->tickers;
    room->tickers = ticker;
}

static void stop_ticker(struct room *room)
{
    struct ticker *last = room->tickers;

    server->stop_timer(last->timer);
    room->tickers = last->next;
    free(last);
}

/* Actions */

static void send_to(struct room *room, struct member *to, const char *string)
{
    int result =
        server->send(to->handle, WEBSOCKET_TEXT, string, strlen(string));
    note(room, "send %lu -> %d", id_of(to), result);
}

static void each_other(struct room *room, struct member *self, unsigned code,
                       const char *string)
{
    for (struct member *at = room->members; at != NULL; at = at->next) {
        if (at == self) {
            continue;
        }
        if (code == 0) {
            send_to(room, at, string);
        } else {
            server->close(at->handle, (uint16_t)code, text(string));
        }
    }
}

static void close_action(struct room *room, struct member *self,
                         const char *rest)
{
    char who[10] = "", reason[200] = "";
    unsigned code = 1000;

    sscanf(rest, "%9s %u %199[^\n]", who, &code, reason);

    if (strcmp(who, "others") == 0) {
        each_other(room, self, code, reason);
    } else {
        server->close(self->handle, (uint16_t)code, text(reason));
    }
}

static websocket_text_t number(char *buffer, uint64_t value)
{
    sprintf(buffer, "%llu", (unsigned long long)value);
    return text(buffer);
}

static websocket_text_t answer(struct room *room, struct member *self,
                               const char *what, const char *name)
{
    static char digits[24];
    const websocket_request_t *request = server->client_request(self->handle);

    switch (what[0]) {
    case 'u':
        return server->request_uri(request);
    case 'a':
        return server->request_args(request);
    case 'h':
        return server->request_header(request, text(name));
    case 'r':
        return server->request_remote_address(request);
    case 's':
        return server->request_subprotocol(request);
    case 'v':
        return server->request_variable(request, text(name));
    case 'p':
        return parameter(room, name);
    case 'l':
        return server->request_parameter(request, text(name));
    case 'n':
        return server->resource_name(room->handle);
    case 'c':
        return number(digits, server->client_count(room->handle));
    case 'b':
        return number(digits, server->buffered_amount(self->handle));
    default:
        return number(digits, id_of(self));
    }
}

static void ask_action(struct room *room, struct member *self, const char *rest)
{
    char what[20] = "", name[80] = "";
    websocket_text_t found;

    sscanf(rest, "%19s %79s", what, name);
    found = answer(room, self, what, name);

    if (found.data == NULL) {
        found = text("(absent)");
    }
    server->send(self->handle, WEBSOCKET_TEXT, found.data, found.size);
}

static void fill_action(struct room *room, struct member *self, int count)
{
    size_t size = 65536;
    char *data = calloc(1, size);
    int result = 0;

    while (count-- > 0) {
        result = server->send(self->handle, WEBSOCKET_BINARY, data, size);
    }
    free(data);
    note(room, "filled -> %d, %s waits", result,
         server->buffered_amount(self->handle) == 0 ? "nothing" : "something");
}

static void timer_action(struct room *room, const char *word, const char *rest)
{
    int milliseconds = 0, times = 0, used = 0;

    if (word[0] == 'a') {
        sscanf(rest, "%d %n", &milliseconds, &used);
    } else {
        sscanf(rest, "%d %d %n", &milliseconds, &times, &used);
    }
    start_ticker(room, milliseconds, times, rest + used);
}

static int run_action(struct room *room, struct member *self, char *action)
{
    char *word = strsep(&action, " ");
    const char *rest = action == NULL ? "" : action;

    if (strcmp(word, "self") == 0) {
        send_to(room, self, rest);
    } else if (strcmp(word, "others") == 0) {
        each_other(room, self, 0, rest);
    } else if (strcmp(word, "all") == 0) {
        server->broadcast(room->handle, WEBSOCKET_TEXT, rest, strlen(rest));
    } else if (strcmp(word, "bytes") == 0) {
        server->broadcast(room->handle, WEBSOCKET_BINARY, rest, strlen(rest));
    } else if (strcmp(word, "cut") == 0) {
        note(
            room, "cut -> %d",
            server->send(self->handle, WEBSOCKET_TEXT, rest, strlen(rest) - 1));
    } else if (strcmp(word, "cutall") == 0) {
        note(room, "cutall -> %d",
             server->broadcast(room->handle, WEBSOCKET_TEXT, rest,
                               strlen(rest) - 1));
    } else if (strcmp(word, "ping") == 0) {
        note(room, "ping -> %d",
             server->send_ping(self->handle, rest, strlen(rest)));
    } else if (strcmp(word, "close") == 0) {
        close_action(room, self, rest);
    } else if (strcmp(word, "ask") == 0) {
        ask_action(room, self, rest);
    } else if (strcmp(word, "fill") == 0) {
        fill_action(room, self, atoi(rest));
    } else if (strcmp(word, "after") == 0 || strcmp(word, "every") == 0) {
        timer_action(room, word, rest);
    } else if (strcmp(word, "stop") == 0) {
        stop_ticker(room);
    } else if (strcmp(word, "fail") == 0) {
        server->log(room->handle, WEBSOCKET_LOG_ERROR, text("it failed"));
        return 1;
    } else {
        note(room, "%s %s", word, rest);
    }
    return 0;
}

static int run_script(struct room *room, struct member *self,
                      websocket_text_t script)
{
    char *copy = strndup(script.data == NULL ? "" : script.data, script.size);
    char *left = copy;
    int failed = 0;

    while (left != NULL && *left != '\0' && failed == 0) {
        failed = run_action(room, self, strsep(&left, ";"));
    }
    free(copy);
    return failed;
}

#endif
