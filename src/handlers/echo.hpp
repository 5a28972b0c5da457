// The handler `echo`.
#pragma once

#include "sdk/websocket_plugin.h"

extern "C" const websocket_handler_t *
websocket_echo(const websocket_server_t *given);
