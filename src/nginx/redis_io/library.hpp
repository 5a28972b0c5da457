// Loads hiredis when a configuration uses Redis. An nginx without Redis does
// not need the library.
#pragma once

#include <cstddef>
#include <string>

#if __has_include(<hiredis/async.h>)
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#define WEBSOCKET_HIREDIS 1
#else
#include "nginx/redis_io/stubs.hpp"
#define WEBSOCKET_HIREDIS 0
#endif

namespace websocket::nginx::hiredis {

// Loads the library. Returns the reason of a failure, or an empty text, also if
// it was loaded before. It is never unloaded, so that no configuration can take
// it from a connection.
std::string load();

// hiredis's functions of these names. Valid after load().
struct function_table {
    decltype(&redisAsyncConnect) connect;
    decltype(&redisAsyncConnectUnix) connect_unix;
    decltype(&redisAsyncFree) free;
    decltype(&redisAsyncHandleRead) handle_read;
    decltype(&redisAsyncHandleWrite) handle_write;
    decltype(&redisAsyncCommandArgv) command;
};

const function_table &functions() noexcept;

// The bytes of commands that the socket has not accepted yet.
std::size_t unsent(const redisAsyncContext &context) noexcept;

// Whether the beginning of a reply, other than an error, has been read.
bool has_partial_reply(const redisAsyncContext &context) noexcept;

} // namespace websocket::nginx::hiredis
