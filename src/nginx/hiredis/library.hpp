// hiredis, loaded when a configuration asks for Redis: an nginx without does
// not need it.
#pragma once

#include <cstddef>
#include <string>

#if __has_include(<hiredis/async.h>)
#define WEBSOCKET_HIREDIS 1
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#else
#define WEBSOCKET_HIREDIS 0
#include "nginx/hiredis/stubs.hpp"
#endif

namespace websocket::nginx::hiredis {

// Empty if it is loaded, then or before, else why not. It stays with the
// process, so that no configuration can take it from a connection.
std::string load();

// hiredis's functions of these names. Only once it is loaded.
struct function_table {
    decltype(&redisAsyncConnect) connect;
    decltype(&redisAsyncConnectUnix) connect_unix;
    decltype(&redisAsyncFree) free;
    decltype(&redisAsyncHandleRead) handle_read;
    decltype(&redisAsyncHandleWrite) handle_write;
    decltype(&redisAsyncCommandArgv) command;
};

const function_table &functions() noexcept;

// Bytes of commands that the socket has not taken yet.
std::size_t unsent(const redisAsyncContext &context) noexcept;

// Whether it has read the beginning of an answer, which is none of an error.
bool has_partial_reply(const redisAsyncContext &context) noexcept;

} // namespace websocket::nginx::hiredis
