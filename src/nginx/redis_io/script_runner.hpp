// A connection of this worker to a Redis for commands, with the scripts loaded.
#pragma once

#include "nginx/core/log_throttle.hpp"
#include "nginx/redis_io/connection.hpp"
#include "nginx/redis_io/replies.hpp"
#include "redis/scripts.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

// The keys of a script without the prefix, and its arguments: borrowed.
struct script_call {
    redis::script script;
    std::span<const std::string> keys;
    std::span<const std::string_view> arguments;

    // Of the shard: they come before the others
    std::span<const std::string> first_keys{};
    std::span<const std::string_view> first_arguments{};
};

class script_runner final : redis_connection::owner {
public:
    struct owner {
        virtual void on_commands_ready() noexcept = 0;

        // Called after pending callbacks have got null.
        virtual void on_commands_lost() noexcept = 0;

    protected:
        ~owner() = default;
    };

    // The settings, the target and the owner must outlive it.
    script_runner(const redis_settings &settings, const redis_target &target,
                  owner &holder) noexcept;

    void open() noexcept { connection_.open(); }

    // Closes permanently. Pending callbacks get null; the owner is not called.
    void close() noexcept;

    // Connected, with the scripts loaded.
    bool ready() const noexcept
    {
        return loaded_scripts_ == redis::script_count;
    }

    // False: not ready, or no memory; the callback is not called. Otherwise it
    // is called once, see reply_callback.
    bool run(const script_call &call, reply_callback callback,
             void *data) noexcept;

    // The same for a command of Redis.
    bool command(std::span<const std::string_view> args,
                 reply_callback callback, void *data) noexcept;

    // Sends ASKING for the next call: a node that is about to get the slot of
    // its keys then runs it. False: as above.
    bool ask() noexcept;

    // Reconnects because replies cannot be handled.
    void restart(std::string_view reason) noexcept
    {
        connection_.restart(reason);
    }

    // Reconnects if the error shows that this server runs no scripts at
    // present: it has lost them, is loading, or has become a replica. Returns
    // whether it did.
    bool reconnect_if_unusable(std::string_view error) noexcept;

    void retry_now() noexcept { connection_.retry_now(); }

    // Writes pending commands now: the process is about to exit.
    void flush() noexcept { connection_.flush(); }

    // A hash of the run_id of Redis, if ready; 0: unknown. See redis/keys.hpp.
    std::uint32_t run_id_hash() const noexcept { return run_id_hash_; }

private:
    void on_redis_ready() noexcept override;
    void on_redis_lost(std::string_view reason) noexcept override;
    static void on_info(void *data, const redisReply *reply) noexcept;
    static void on_script_loaded(void *data, const redisReply *reply) noexcept;

    const redis_settings &settings_;
    owner &owner_;
    redis_connection connection_;
    std::array<std::string, redis::script_count> digests_;
    std::size_t loaded_scripts_ = 0;
    std::uint32_t run_id_hash_ = 0;
    std::vector<std::string> keys_;      // of the present call; reused
    std::vector<std::string_view> args_; // of the present call
};

// Logs, at most once in ten seconds, that Redis refused a command, its reason,
// and the effect.
void log_refused(log_throttle &line, const char *command,
                 std::string_view reason, const char *effect) noexcept;

} // namespace websocket::nginx
