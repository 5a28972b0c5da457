// The table of server functions in the plug-in interface.
#pragma once

#include "sdk/websocket_plugin.h"

namespace websocket::nginx {

extern const websocket_server_t server_api;

} // namespace websocket::nginx
