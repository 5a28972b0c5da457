// The sentinels of a Redis: which server they name as the master now.
//
// A worker has one connection to each sentinel, for all of its connections to
// Redis. It asks for the master and then subscribes to announcements. An
// announcement only makes it ask again: the answer with the newest
// configuration counts, so that a sentinel that was cut off does not mislead.
#pragma once

#include "nginx/core/redis_settings.hpp"
#include "nginx/redis_io/connection.hpp"
#include "nginx/redis_io/resolver.hpp"

#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

// The connection to one sentinel.
class sentinel_link final : redis_connection::owner {
public:
    struct listener {
        // The sentinel has answered, or was lost. `changed`: it names another
        // master than before. The link must not be destroyed.
        virtual void on_answer(bool changed) noexcept = 0;

    protected:
        ~listener() = default;
    };

    // Asks at once. The settings, the target and the listener must outlive it.
    sentinel_link(const redis_settings &settings, const redis_target &target,
                  listener &holder) noexcept;
    sentinel_link(const sentinel_link &) = delete;
    sentinel_link &operator=(const sentinel_link &) = delete;
    ~sentinel_link();

    // Asks again, unless the answer is recent.
    void ask() noexcept;

    // It has neither answered nor failed since it was asked.
    bool asking() const noexcept { return asking_; }

    // The addresses of the master that it names; empty: none.
    const std::vector<redis_peer> &masters() const noexcept { return masters_; }

    // Its name and its answer, for log lines. Throws std::bad_alloc.
    std::string describe() const;

private:
    void on_redis_ready() noexcept override;
    void on_redis_lost(std::string_view reason) noexcept override;

    void ask_again() noexcept;
    bool subscribe() noexcept;
    void set_fault(std::string_view text) noexcept;
    void read_address(const redisReply *reply);
    void find_peers_of_master();
    void finish(std::vector<redis_peer> peers);

    static void on_address(void *data, const redisReply *reply) noexcept;
    static void on_details(void *data, const redisReply *reply) noexcept;
    static void on_resolved(void *data, std::vector<redis_peer> *peers,
                            std::string_view reason) noexcept;
    static void on_announcement(void *data, const redisReply *reply) noexcept;
    static void on_keepalive(ngx_event_t *event) noexcept;

    // Out of memory: restart from a new connection.
    template <class Work>
    void with_oom_restart(Work work) noexcept
    try {
        work();
    } catch (const std::bad_alloc &) {
        connection_.restart("no memory");
    }

    const redis_settings &settings_;
    const redis_target &target_;
    listener &listener_;
    redis_connection connection_;
    redis_lookup lookup_;
    ngx_event_t keepalive_{};

    bool asking_ = true;
    bool again_ = false; // ask once the present connection has ended
    ngx_msec_t answered_at_ = 0;
    std::vector<redis_peer> masters_;
    std::string fault_; // why there are none

    // Parts of the next answer, and the last one that named a master
    redis::server_address master_;
    std::uint64_t epoch_ = 0;
    std::string named_;
    std::uint64_t named_epoch_ = 0;
};

// All sentinels of some settings.
class sentinel_group final : sentinel_link::listener {
public:
    // The group of these settings, which must outlive it. It exists as long as
    // somebody uses it. Throws std::bad_alloc.
    static std::shared_ptr<sentinel_group> of(const redis_settings &settings);

    explicit sentinel_group(const redis_settings &settings);
    sentinel_group(const sentinel_group &) = delete;
    sentinel_group &operator=(const sentinel_group &) = delete;

    // Posts this event whenever a sentinel has answered or was lost. Throws
    // std::bad_alloc.
    void add(ngx_event_t &event) { events_.push_back(&event); }
    void remove(ngx_event_t &event) noexcept;

    // Asks the sentinels again that have not answered lately.
    void ask() noexcept;

    // Some sentinel has neither answered nor failed yet.
    bool asking() const noexcept;

    // The masters that the sentinels name, each once, that of the newest
    // configuration first. Throws std::bad_alloc.
    std::vector<redis_peer> masters() const;

    // Changes whenever a sentinel names another master than before.
    std::uint64_t version() const noexcept { return version_; }

    // Each sentinel and what it has answered, for log lines. Throws
    // std::bad_alloc.
    std::string describe() const;

private:
    void on_answer(bool changed) noexcept override;

    const redis_settings &settings_;
    std::vector<std::unique_ptr<sentinel_link>> links_;
    std::vector<ngx_event_t *> events_;
    std::uint64_t version_ = 1;
};

} // namespace websocket::nginx
