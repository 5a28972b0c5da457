// Connections to the nodes that the configuration names, to learn which node
// has which slots. They exist only while this is unknown.
#pragma once

#include "nginx/core/log_throttle.hpp"
#include "nginx/core/redis_settings.hpp"
#include "nginx/redis_io/connection.hpp"
#include "nginx/redis_io/replies.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

class cluster_seeds {
public:
    struct owner {
        // The reply of CLUSTER SLOTS, no error. The seeds must not be closed.
        virtual void on_slots(const redisReply &reply,
                              const redis_target &from) noexcept = 0;

    protected:
        ~owner() = default;
    };

    // The settings and the owner must outlive it.
    cluster_seeds(const redis_settings &settings, owner &holder) noexcept
        : settings_{settings}, owner_{holder}
    {}

    // Asks all of them. Throws std::bad_alloc.
    void ask();

    // Not inside a callback of theirs.
    void close() noexcept { links_.clear(); }

private:
    class link final : redis_connection::owner {
    public:
        link(cluster_seeds &group, const redis_target &target) noexcept;
        void ask() noexcept;
        std::string describe() const;
        bool failed() const noexcept { return !fault_.empty(); }

    private:
        void on_redis_ready() noexcept override { ask(); }
        void on_redis_lost(std::string_view reason) noexcept override;
        static void on_reply(void *data, const redisReply *reply) noexcept;
        void set_fault(std::string_view text) noexcept;

        cluster_seeds &group_;
        const redis_target &target_;
        std::string fault_;
        bool asking_ = false;
        redis_connection connection_;
    };

    void on_fault() noexcept;
    void on_answer(const redisReply &reply, const redis_target &from) noexcept;

    const redis_settings &settings_;
    owner &owner_;
    std::vector<std::unique_ptr<link>> links_;
    log_throttle line_;
    bool logged_ = false;
};

} // namespace websocket::nginx
