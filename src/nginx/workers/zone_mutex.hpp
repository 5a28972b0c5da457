// Gives the broker the mutex of nginx's shared zone.
#pragma once

#include "broker/broker.hpp"
#include "nginx/workers/shared_zone.hpp"

namespace websocket::nginx {

class zone_mutex final : public broker::mutex {
public:
    explicit zone_mutex(const shared_zone &zone) noexcept : mutex_{*zone.mutex}
    {}

    void lock() noexcept override
    {
        if (!ngx_shmtx_trylock(&mutex_)) {
            wait();
        }
    }
    void unlock() noexcept override { ngx_shmtx_unlock(&mutex_); }

private:
    void wait() noexcept;

    ngx_shmtx_t &mutex_;
};

} // namespace websocket::nginx
