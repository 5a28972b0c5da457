// The broker's lock is that of nginx's zone.
#pragma once

#include "broker/broker.hpp"
#include "nginx/workers/shared_zone.hpp"

namespace websocket::nginx {

class zone_mutex final : public broker::mutex {
public:
    explicit zone_mutex(const shared_zone &zone) noexcept : own_{*zone.mutex} {}

    void lock() noexcept override
    {
        if (!ngx_shmtx_trylock(&own_)) {
            wait();
        }
    }
    void unlock() noexcept override { ngx_shmtx_unlock(&own_); }

private:
    void wait() noexcept;

    ngx_shmtx_t &own_;
};

} // namespace websocket::nginx
