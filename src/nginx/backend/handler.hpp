// The handler "http": the events of its clients go to an HTTP backend.
#pragma once

#include "sdk/websocket_plugin.h"

namespace websocket::nginx::backend {

extern const websocket_handler_t http_handler;

} // namespace websocket::nginx::backend
