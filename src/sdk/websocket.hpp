// Resource handlers of nginx-websocket in C++20, over the C interface in
// websocket_plugin.h. Only the standard library is needed.
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
// Everything runs on the event loop of an nginx worker. A callback returns
// soon and never blocks: while it runs, no other client of the worker is
// served. Nothing here may be called from another thread.
//
// An exception that leaves a callback is written into the error log with its
// what(). It costs at most the one client that the callback was for.
//
// Borrowed text and bytes (std::string_view, std::span) need to live during
// the call that they are passed to. Those that are returned say how long they
// live; parameters of a callback live while it runs.
#pragma once

#include "websocket_resource.hpp"

#include "websocket_handler.hpp"

// Makes a class derived from websocket::resource known by a name, which the
// directive `websocket` uses: letters, digits, "_" and "-". To stand once per
// handler at namespace scope; a library may have several.
#define WEBSOCKET_HANDLER(name, ...)                                           \
    static_assert(::websocket::detail::is_handler_name(name),                  \
                  "letters, digits, _ and - make the name of a handler");      \
    static ::websocket::detail::registration WEBSOCKET_HANDLER_NAME(           \
        __COUNTER__){::websocket::detail::describe<__VA_ARGS__>(name)};

#define WEBSOCKET_HANDLER_NAME(number) WEBSOCKET_HANDLER_JOIN(number)
#define WEBSOCKET_HANDLER_JOIN(number) websocket_handler_##number
