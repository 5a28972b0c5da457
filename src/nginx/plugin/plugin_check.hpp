// Checks what the entry function of a plug-in has returned.
#pragma once

#include "sdk/websocket_plugin.h"

#include <string>

namespace websocket::nginx {

// Returns "" or an error. Throws std::bad_alloc.
std::string check_plugin(const websocket_plugin_t *plugin);

} // namespace websocket::nginx
