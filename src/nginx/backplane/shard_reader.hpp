// Reads the log of one shard for the leader.
//
// Redis publishes each entry on the shard's channel. Nothing relies on that: an
// entry is applied only if it follows the cursor, which is in shared memory.
// Otherwise the missing entries are read from the log, and entries that arrive
// meanwhile are deferred. So it is after each new connection, and when the
// channel has lost an entry. A channel may be later than the replies of
// commands by more than the log has: its entries are not missing as long as it
// brings some.
#pragma once

#include "broker/types.hpp"
#include "nginx/redis_nodes/router.hpp"
#include "redis/log_entry.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

class shard_reader {
public:
    // Functions may throw std::bad_alloc, as all of the reader that are not
    // noexcept. The reader is then in no defined state until on_disconnect().
    struct listener {
        virtual void on_entry(const redis::log_entry &entry,
                              std::string_view text, broker::message_id id) = 0;

        // All entries that Redis had when it was asked have been applied.
        virtual void on_shard_current(unsigned shard) = 0;

        // The same, for a resource that confirm() was called for.
        virtual void on_confirmed(std::string_view name) = 0;

        // Entries behind `since` are missing, or Redis has lost them.
        virtual void on_shard_loss(unsigned shard,
                                   broker::message_id since) = 0;

        // Calls on_fetch_reply() of the reader, and restarts the connection if
        // it throws.
        virtual void run_callback(shard_reader &reader,
                                  const redisReply &reply) noexcept = 0;

    protected:
        ~listener() = default;
    };

    shard_reader(shard_router &redis, listener &to, unsigned shard) noexcept
        : redis_{redis}, listener_{to}, shard_{shard}
    {}

    // The subscription of the channel has been confirmed.
    void on_subscribed();

    // A message of the channel.
    void on_message(std::string_view text);

    // The present end of the log, in regular intervals. If the channel has lost
    // its last entries, reads them.
    void on_log_end(broker::message_id end);

    // The reply of the script: for listener::run_callback.
    void on_fetch_reply(const redisReply &reply);

    // The subscription is gone. The next one continues at the cursor.
    void on_disconnect() noexcept;

    // The same, and nobody needs the entries that follow.
    void stop() noexcept;

    // Calls listener::on_confirmed when the host has all present entries.
    void confirm(std::string_view name);

    // Retries after Redis refused.
    void retry();

    unsigned shard() const noexcept { return shard_; }
    bool current() const noexcept { return state_ == state::current; }

    // Whether the log is being read from its present end.
    bool reads_from_end() const noexcept
    {
        return state_ == state::reading && begins();
    }

    // Whether the log is read from its present end: nobody needs what is
    // before.
    bool begins() const noexcept { return stopped_ || cursor_.last.epoch == 0; }

private:
    enum class state : std::uint8_t { off, reading, failed, current };

    void read();
    void fetch();
    void fail() noexcept;
    void defer(std::string_view text);
    static void on_reply(void *data, const redisReply *reply) noexcept;
    void align_to(broker::message_id before, broker::message_id end);
    void skip_to(broker::message_id end);
    bool apply(broker::message_id id, std::string_view text);
    void store_cursor() noexcept;
    void finish();

    shard_router &redis_;
    listener &listener_;
    const unsigned shard_;
    state state_ = state::off;
    bool in_flight_ = false;  // a call of the script
    bool again_ = false;      // call it again after the reply
    bool stopped_ = false;    // the cursor only shows whether entries were lost
    bool began_late_ = false; // the first call failed
    broker::log_cursor cursor_;
    broker::message_id requested_; // the cursor of the call
    broker::message_id awaited_;   // from the channel; epoch 0: none
    broker::message_id compared_;  // the cursor at the last on_log_end()
    std::vector<std::string> deferred_;
    std::size_t deferred_bytes_ = 0;
    std::vector<std::string> to_confirm_; // with the next call
    std::vector<std::string> confirming_; // with the present one
};

} // namespace websocket::nginx
