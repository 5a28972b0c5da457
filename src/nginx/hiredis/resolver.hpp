// Where a Redis server's name leads: asked when the configuration is read,
// and of nginx's resolver later.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/core/redis_settings.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

// Fills in the settings' addresses. Waits for the system's resolver. False:
// `why` says what it answered.
bool resolve_redis_addresses(ngx_conf_t *cf, redis_settings &settings,
                             std::string &reason);

// One question at a time to nginx's resolver, whose answer does not keep the
// worker waiting.
class redis_lookup {
public:
    // Called once for each question, also from inside ask(). Null: no answer,
    // for that reason.
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

    ngx_resolver_ctx_t *context_ = nullptr; // null: nothing is asked
    result_callback callback_ = nullptr;
    void *data_ = nullptr;
};

} // namespace websocket::nginx
