// This worker's connection to Redis for commands, with our scripts loaded.
#pragma once

#include "nginx/core/log_throttle.hpp"
#include "nginx/hiredis/connection.hpp"
#include "redis/scripts.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

// A script's keys without the prefix, and what else it is given: lent.
struct script_call {
    redis::script script;
    std::span<const std::string> keys;
    std::span<const std::string_view> arguments;
};

class script_runner final : redis_connection::owner {
public:
    // Who is told, in the order in which they were added.
    struct listener {
        virtual void on_commands_ready() noexcept = 0;

        // After each answer that is missing was given as null.
        virtual void on_commands_lost() noexcept = 0;

    protected:
        ~listener() = default;
    };

    explicit script_runner(const redis_settings &settings) noexcept;

    // Throws std::bad_alloc.
    void add_listener(listener &added) { listeners_.push_back(&added); }

    void open() noexcept { connection_.open(); }

    // True once the scripts are there too.
    bool ready() const noexcept
    {
        return loaded_scripts_ == redis::script_count;
    }

    // Bytes that its socket has not taken yet.
    std::size_t unsent() const noexcept { return connection_.unsent(); }

    // False: not ready, or no memory: `answer` will not be called. Else it is
    // called once; see redis_answer.
    bool run(const script_call &call, reply_callback callback,
             void *data) noexcept;

    // The same for a command of Redis's own.
    bool command(std::span<const std::string_view> args,
                 reply_callback callback, void *data) noexcept;

    // Whether an error, or none, is not the script's word: the server, as it
    // is now, runs none. Then the connection begins anew, perhaps to another
    // server: it has forgotten the scripts, or is a replica by now.
    bool reconnect_if_unusable(std::string_view error) noexcept;

    void retry_now() noexcept { connection_.retry_now(); }

    // Has what was asked for leave now: the process is about to end.
    void flush() noexcept { connection_.flush(); }

    const redis_settings &settings() const noexcept { return settings_; }

    // The number of Redis's life, if it is ready; 0: it does not tell. See
    // redis_scripts.hpp.
    std::uint32_t run_id_hash() const noexcept { return run_id_hash_; }

private:
    void on_redis_ready() noexcept override;
    void on_redis_lost(std::string_view reason) noexcept override;
    static void on_info(void *data, const redisReply *reply) noexcept;
    static void on_script_loaded(void *data, const redisReply *reply) noexcept;

    const redis_settings &settings_;
    redis_connection connection_;
    std::vector<listener *> listeners_;
    std::array<std::string, redis::script_count> digests_;
    std::size_t loaded_scripts_ = 0;
    std::uint32_t run_id_hash_ = 0;
    std::vector<std::string> keys_;      // of the call at hand
    std::vector<std::string_view> args_; // the same
};

// Says in the log, once in a while, what Redis does not do, and in its own
// words why.
void log_refused(log_throttle &line, const char *what,
                 std::string_view reason) noexcept;

// What Redis says of an error, or nothing if the answer is none.
std::string_view error_in(const redisReply *reply) noexcept;

// An answer's text; empty if it is none.
std::string_view text_in(const redisReply *reply) noexcept;

// The elements of an answer that is a list.
std::span<redisReply *const> list_in(const redisReply *reply) noexcept;

} // namespace websocket::nginx
