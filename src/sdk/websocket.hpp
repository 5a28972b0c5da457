// Writes resource handlers for nginx-websocket in C++20, over the C interface
// in websocket_plugin.h. Needs only the standard library.
//
//     struct echo : websocket::resource<> {
//         void text_message_received(websocket::client &from,
//                                    std::string_view text) override
//         {
//             from.send_text_message(text);
//         }
//     };
//     WEBSOCKET_HANDLER("echo", echo)
//
//     g++ -std=c++20 -O2 -fPIC -shared -fno-gnu-unique -o echo.so echo.cpp
//
// Callbacks run on the event loop of an nginx worker and must not block: while
// one runs, the worker serves no other client. Functions of this interface must
// not be called from another thread.
//
// An exception that leaves a callback is logged with its what(). It ends at
// most the client that the callback is for.
//
// Borrowed text and bytes (std::string_view, std::span) must be valid during
// the call that they are passed to. Returned ones state their lifetime; those
// passed to a callback are valid while it runs.
#pragma once

#include "websocket_resource.hpp"

#include "websocket_handler.hpp"
#include "websocket_registration.hpp"

// Registers a class derived from websocket::resource under the name that the
// directive `websocket` uses: letters, digits, "_" and "-". Write it once per
// handler, at namespace scope; a library may have several handlers.
#define WEBSOCKET_HANDLER(name, ...)                                           \
    static_assert(::websocket::detail::is_handler_name(name),                  \
                  "a handler name consists of letters, digits, _ and -");      \
    static ::websocket::detail::registration WEBSOCKET_HANDLER_NAME(           \
        __COUNTER__){::websocket::detail::describe<__VA_ARGS__>(name)};

#define WEBSOCKET_HANDLER_NAME(number) WEBSOCKET_HANDLER_JOIN(number)
#define WEBSOCKET_HANDLER_JOIN(number) websocket_handler_##number
