// A client's place in a further resource, to which it was subscribed.
#pragma once

#include "nginx/resource/membership.hpp"
#include "nginx/resource/resource.hpp"
#include "sdk/websocket_plugin.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace websocket::nginx {

// How a client joins a resource.
struct subscription_terms {
    const resource_settings *settings; // lives as long as the client
    std::uint32_t max_clients;         // of the resource; 0: no limit
};

// There may be many for each client. So the memory of the handler follows the
// object, and what is needed to join is stored there before.
class client_subscription final : public membership {
public:
    struct deleter {
        void operator()(client_subscription *deleted) const noexcept;
    };
    using owned = std::unique_ptr<client_subscription, deleter>;

    // `since` may be null. Null: no memory.
    static owned create(session &owner, resource &target,
                        const subscription_terms &terms,
                        const websocket_message_id_t *since) noexcept;

    // Joins the resource: on_subscribed() or on_subscription_failed() of the
    // place is called, at once or later. Called once, outside of handlers.
    void join() noexcept;

    resource &target() const noexcept { return target_; }

    // The memory of the handler, zeroed at first.
    void *object() noexcept { return this + 1; }

    // True until on_subscribed() is called.
    bool pending() const noexcept { return state_ != state::subscribed; }

    // The client is not read before it is subscribed, unless that takes long.
    // Returns true at the first call.
    bool stop_holding() noexcept { return std::exchange(holds_input_, false); }

    // Of a pending one.
    std::uint64_t join_position() const noexcept { return rest().position; }
    void on_join_position() noexcept;

private:
    class wait;

    enum class state : std::uint8_t { created, waiting, joining, subscribed };

    // In the memory of the handler, until the client is subscribed.
    struct join_part {
        union {
            const resource_settings *settings; // before join()
            std::uint64_t position;            // in the state joining
        };
        websocket_message_id_t since;
    };

    client_subscription(session &owner, resource &target,
                        std::uint8_t index) noexcept;
    ~client_subscription();

    static std::size_t size_of_object(const resource &target) noexcept;
    static std::size_t size_in(const resource &target) noexcept;
    const join_part &rest() const noexcept
    {
        return *reinterpret_cast<const join_part *>(this + 1);
    }
    join_part &rest() noexcept
    {
        return *reinterpret_cast<join_part *>(this + 1);
    }

    void wait_for_hosts(const resource_settings &settings) noexcept;
    void reserve(const resource_settings &settings) noexcept;

    resource &target_;
    std::unique_ptr<wait> wait_; // for messages of other hosts
    std::uint32_t max_clients_;
    state state_ = state::created;
    bool has_since_ = false;
    bool holds_input_ = true;
    const std::uint8_t index_; // in its block of memory
};

// Called for each client that was subscribed to a resource, and when it leaves
// that. Null: nobody needs it.
inline void (*on_place_taken)(session &client,
                              const resource &target) noexcept = nullptr;
inline void (*on_place_left)(session &client,
                             const resource &target) noexcept = nullptr;

} // namespace websocket::nginx
