// A client's place in a further resource, to which it was subscribed.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/resource/membership.hpp"
#include "nginx/resource/resource.hpp"
#include "sdk/websocket_plugin.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace websocket::nginx {

// The memory of the handler, for each subscription, follows the object.
class client_subscription final : public membership {
public:
    // How the client joins.
    struct options {
        const resource_settings &settings; // lives as long as the client
        std::uint32_t max_clients;         // of the resource; 0: no limit
        std::optional<websocket_message_id_t> since;
        ngx_log_t *log;
    };

    struct deleter {
        void operator()(client_subscription *deleted) const noexcept;
    };
    using owned = std::unique_ptr<client_subscription, deleter>;

    // Subscribes the client after the current event: on_subscribed() or
    // on_subscription_failed() of the place is called. Null: no memory.
    static owned create(session &owner, resource &target,
                        const options &how) noexcept;

    resource &target() const noexcept { return target_; }

    // The memory of the handler, zeroed at first.
    void *object() noexcept { return this + 1; }

    // True until on_subscribed() is called.
    bool pending() const noexcept { return join_ != nullptr; }

    // Of a pending one.
    std::uint64_t join_position() const noexcept;
    void on_join_position() noexcept;

private:
    class join;

    client_subscription(session &owner, resource &target) noexcept;
    ~client_subscription();

    resource &target_;
    std::unique_ptr<join> join_;
};

} // namespace websocket::nginx
