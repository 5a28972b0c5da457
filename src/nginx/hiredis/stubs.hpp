// Stands in for hiredis's headers where they are not installed, so that the
// rest compiles. No library is loaded then, and nothing of this ever lives.
#pragma once

#include <cstddef>

constexpr int REDIS_OK = 0;

constexpr int REDIS_REPLY_STRING = 1;
constexpr int REDIS_REPLY_ARRAY = 2;
constexpr int REDIS_REPLY_INTEGER = 3;
constexpr int REDIS_REPLY_NIL = 4;
constexpr int REDIS_REPLY_STATUS = 5;
constexpr int REDIS_REPLY_ERROR = 6;

struct redisReply {
    int type;
    long long integer;
    std::size_t len;
    char *str;
    std::size_t elements;
    redisReply **element;
};

struct redisAsyncContext {
    struct {
        int fd;
    } c;

    int err;
    char *errstr;
    void *data;

    struct {
        void *data;
        void (*addRead)(void *);
        void (*addWrite)(void *);
        void (*delWrite)(void *);
        void (*cleanup)(void *);
    } ev;
};

using redisCallbackFn = void(redisAsyncContext *, void *, void *);

redisAsyncContext *redisAsyncConnect(const char *, int);
redisAsyncContext *redisAsyncConnectUnix(const char *);
void redisAsyncFree(redisAsyncContext *);
void redisAsyncHandleRead(redisAsyncContext *);
void redisAsyncHandleWrite(redisAsyncContext *);
int redisAsyncCommandArgv(redisAsyncContext *, redisCallbackFn *, void *, int,
                          const char **, const std::size_t *);
