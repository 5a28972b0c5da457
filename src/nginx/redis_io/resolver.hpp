// Finds the addresses of a Redis server: with the system's resolver when the
// configuration is read, with nginx's resolver later.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/core/redis_settings.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

// Finds the peers of a server. `resolve`: asks the system's resolver, which
// blocks; without it a name has no peers. False: it failed for `reason`. Throws
// std::bad_alloc.
bool find_peers(ngx_pool_t *pool, const redis::server_address &server,
                bool resolve, std::vector<redis_peer> &peers,
                std::string &reason);

// One lookup at a time with nginx's resolver, which does not block.
class redis_lookup {
public:
    // Called once for each lookup, also inside start(). Null: it failed for
    // that reason.
    using result_callback = void (*)(void *data, std::vector<redis_peer> *peers,
                                     std::string_view reason);

    redis_lookup() noexcept = default;
    ~redis_lookup() { cancel(); }
    redis_lookup(const redis_lookup &) = delete;
    redis_lookup &operator=(const redis_lookup &) = delete;

    // Finds the peers of a server. The settings must outlive the lookup, the
    // address need not.
    void start(const redis_settings &settings,
               const redis::server_address &server, result_callback callback,
               void *data) noexcept;
    void cancel() noexcept;

private:
    static void on_answer(ngx_resolver_ctx_t *context) noexcept;

    ngx_resolver_ctx_t *context_ = nullptr; // null: no lookup
    result_callback callback_ = nullptr;
    void *data_ = nullptr;
    std::string host_;
    std::uint16_t port_ = 0;
};

} // namespace websocket::nginx
