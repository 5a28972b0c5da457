// The connections of this worker to one Redis: one for commands, and one for
// channels while the worker leads the host.
#pragma once

#include "nginx/core/redis_settings.hpp"
#include "nginx/redis_io/connection.hpp"
#include "nginx/redis_io/script_runner.hpp"

#include <string_view>

namespace websocket::nginx {

class redis_node final : script_runner::owner, redis_connection::owner {
public:
    struct owner {
        virtual void on_node_ready(redis_node &node) noexcept = 0;

        // Called after pending callbacks have got null.
        virtual void on_node_lost(redis_node &node) noexcept = 0;

        virtual void on_channels_ready(redis_node &node) noexcept = 0;
        virtual void on_channels_lost(redis_node &node) noexcept = 0;

    protected:
        ~owner() = default;
    };

    // The settings and the owner must outlive it.
    redis_node(const redis_settings &settings, redis_target target,
               owner &holder);
    redis_node(const redis_node &) = delete;
    redis_node &operator=(const redis_node &) = delete;

    // Closes without calling the owner. Pending callbacks get null.
    ~redis_node();

    void retry_now() noexcept;

    const redis_target &target() const noexcept { return target_; }
    script_runner &commands() noexcept { return commands_; }
    redis_connection &channels() noexcept { return channels_; }

    // Since when it has been unused; 0: it is used.
    ngx_msec_t unused_since = 0;

    redis_node::owner &holder() noexcept { return owner_; }

private:
    void on_commands_ready() noexcept override;
    void on_commands_lost() noexcept override;
    void on_redis_ready() noexcept override;
    void on_redis_lost(std::string_view reason) noexcept override;

    const redis_target target_;
    redis_node::owner &owner_;
    script_runner commands_;
    redis_connection channels_;
};

} // namespace websocket::nginx
