// Loads hiredis, which parses replies, when a configuration uses Redis. An
// nginx without Redis does not need the library.
#pragma once

#include <string>

#include <hiredis/hiredis.h>

namespace websocket::nginx::hiredis {

// Loads the library. Returns the reason of a failure, or an empty text, also if
// it was loaded before. It is never unloaded, so that no configuration can take
// it from a connection.
std::string load();

// hiredis's functions of these names. Valid after load().
struct function_table {
    decltype(&redisReaderCreate) create_reader;
    decltype(&redisReaderFree) free_reader;
    decltype(&redisReaderFeed) feed;
    decltype(&redisReaderGetReply) get_reply;
    decltype(&freeReplyObject) free_reply;
};

const function_table &functions() noexcept;

} // namespace websocket::nginx::hiredis
