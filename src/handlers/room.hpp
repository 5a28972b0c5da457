// The handler `room`, as a library of handlers would give it.
#pragma once

#include "sdk/websocket_plugin.h"

extern "C" const websocket_plugin_t *
websocket_room(const websocket_server_t *given);
