// Resolves the name of a Redis server: with the system's resolver when the
// configuration is read, with nginx's resolver later.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/core/redis_settings.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

// Sets the addresses of the settings. Blocks in the system's resolver. False:
// `reason` is its error.
bool resolve_redis_addresses(ngx_conf_t *cf, redis_settings &settings,
                             std::string &reason);

// One lookup at a time with nginx's resolver, which does not block.
class redis_lookup {
public:
    // Called once for each lookup, also inside start(). Null: it failed for
    // that reason.
    using result_callback = void (*)(void *data,
                                     std::vector<std::string> *addresses,
                                     std::string_view reason);

    redis_lookup() noexcept = default;
    ~redis_lookup() { cancel(); }
    redis_lookup(const redis_lookup &) = delete;
    redis_lookup &operator=(const redis_lookup &) = delete;

    void start(const redis_settings &settings, result_callback callback,
               void *data) noexcept;
    void cancel() noexcept;

private:
    static void on_answer(ngx_resolver_ctx_t *context) noexcept;

    ngx_resolver_ctx_t *context_ = nullptr; // null: no lookup
    result_callback callback_ = nullptr;
    void *data_ = nullptr;
};

} // namespace websocket::nginx
