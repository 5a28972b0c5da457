// The file that this module was loaded from, which may be replaced meanwhile.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

// Called for each configuration, in the process that has read it: warns where
// the file is another one by now. glibc knows the library by its name, and
// gives a reload the one that is loaded.
void check_module_file(const ngx_cycle_t &cycle) noexcept;

} // namespace websocket::nginx
