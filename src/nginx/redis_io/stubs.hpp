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
    char errstr[128];
};

redisReader *redisReaderCreate();
void redisReaderFree(redisReader *);
int redisReaderFeed(redisReader *, const char *, std::size_t);
int redisReaderGetReply(redisReader *, void **);
void freeReplyObject(void *);
