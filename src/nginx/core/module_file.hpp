// Detects that the file of this module was replaced while nginx runs.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

// Called for each configuration, in the process that has read it. Warns if the
// file is not the one that was loaded: glibc identifies a library by its name,
// so a reload gets the loaded one.
void check_module_file(const ngx_cycle_t &cycle) noexcept;

} // namespace websocket::nginx
