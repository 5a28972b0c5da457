// The part of hiredis's headers that this folder uses, so that the module can
// be built with nginx-dev and a compiler alone. Such a module has no Redis:
// load() refuses it, and none of these objects ever exists.
#pragma once

#include <cstddef>

#define HIREDIS_SONAME

enum { REDIS_OK };

enum {
    REDIS_REPLY_STRING,
    REDIS_REPLY_ARRAY,
    REDIS_REPLY_INTEGER,
    REDIS_REPLY_STATUS,
    REDIS_REPLY_ERROR
};

struct redisReply {
    int type;
    long long integer;
    std::size_t len;
    char *str;
    std::size_t elements;
    redisReply **element;
};

struct redisReader {
    char *buf;
    std::size_t pos;
    std::size_t len;
};

struct redisAsyncContext {
    struct {
        int fd;
        char *obuf;
        redisReader *reader;
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

inline std::size_t sdslen(const char *)
{
    return 0;
}
