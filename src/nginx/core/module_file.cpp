// Compares the file of the module with the one that was loaded.
#include "nginx/core/module_file.hpp"

#include "nginx/core/file_identity.hpp"
#include "nginx/core/log_line.hpp"

#include <optional>
#include <string_view>

#include <dlfcn.h>

namespace websocket::nginx {

namespace {

// The file that was loaded; empty until the first configuration is read.
std::optional<file_identity> loaded_file;

} // namespace

void check_module_file(const ngx_cycle_t &cycle) noexcept
{
    Dl_info module;
    Dl_info program;

    if (dladdr(&ngx_http_websocket_module, &module) == 0 ||
        dladdr(&ngx_http_core_module, &program) == 0 ||
        module.dli_fbase == program.dli_fbase) {
        return; // linked statically
    }

    const std::optional<file_identity> now = identity_of(module.dli_fname);

    if (!loaded_file) {
        loaded_file = now;
        return;
    }

    if (now && *now != *loaded_file) {
        write_log(NGX_LOG_WARN, cycle.log,
                  "websocket: module file \"%V\" has been replaced, but a "
                  "reload keeps the loaded module; restart nginx or upgrade "
                  "it (USR2)",
                  std::string_view(module.dli_fname));
    }
}

} // namespace websocket::nginx
