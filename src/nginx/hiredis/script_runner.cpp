// Loads the scripts on each connection, as a restart of Redis forgets them,
// and calls them by their digests.
#include "nginx/hiredis/script_runner.hpp"

#include "nginx/core/log_line.hpp"

#include <algorithm>
#include <new>

namespace websocket::nginx {

namespace {

// Another one each time that Redis is started, and the same for all who are
// connected to it: the numbers of its replication are not.
std::uint32_t term_told_by(std::string_view info) noexcept
{
    constexpr std::string_view name = "\nrun_id:";
    const std::size_t at = info.find(name);

    if (at == info.npos) {
        return 0;
    }

    std::string_view run = info.substr(at + name.size());

    run = run.substr(0, run.find('\r'));

    const std::uint32_t sum = ngx_crc32_long(
        reinterpret_cast<u_char *>(const_cast<char *>(run.data())), run.size());

    return sum == 0 ? 1 : sum;
}

} // namespace

redis_commands::redis_commands(const redis_settings &settings) noexcept
    : settings_{settings}, connection_{settings, *this,
                                       redis_connection::role::commands}
{}

void redis_commands::redis_ready() noexcept
try {
    const std::string_view info[] = {"INFO", "server"};

    loaded_ = 0;
    term_ = 0;

    bool asked = connection_.command(info, told_of_itself, this);

    for (std::size_t i = 0; asked && i != broker::redis_script_count; i++) {
        const std::string text = text_of(static_cast<broker::redis_script>(i));
        const std::array<std::string_view, 3> words{"SCRIPT", "LOAD", text};

        asked = connection_.command(words, script_loaded, this);
    }

    if (!asked) {
        connection_.restart("no memory");
    }
} catch (const std::bad_alloc &) {
    connection_.restart("no memory");
}

// A user may not be allowed to ask.
void redis_commands::told_of_itself(void *data,
                                    const redisReply *reply) noexcept
{
    if (reply == nullptr) {
        return; // redis_lost follows
    }

    if (const std::string_view wrong = error_in(reply); !wrong.empty()) {
        static log_throttle line;

        say_refused(line, "say whether it has forgotten something", wrong);
        return;
    }

    static_cast<redis_commands *>(data)->term_ = term_told_by(text_in(reply));
}

// Answers come in the order of the commands.
void redis_commands::script_loaded(void *data, const redisReply *reply) noexcept
try {
    auto &own = *static_cast<redis_commands *>(data);

    if (reply == nullptr) {
        return; // redis_lost follows
    }

    if (const std::string_view wrong = error_in(reply); !wrong.empty()) {
        own.connection_.restart(wrong);
        return;
    }

    own.digests_[own.loaded_++] = text_in(reply);

    if (own.ready()) {
        for (listener *told : own.told_) {
            told->commands_ready();
        }
    }
} catch (const std::bad_alloc &) {
    static_cast<redis_commands *>(data)->connection_.restart("no memory");
}

void redis_commands::redis_lost(std::string_view) noexcept
{
    const bool was_ready = ready();

    loaded_ = 0;

    for (listener *told : told_) {
        if (was_ready) {
            told->commands_lost();
        }
    }
}

bool redis_commands::run(const script_call &call, redis_answer answer,
                         void *data) noexcept
try {
    if (!ready()) {
        return false;
    }

    const std::string count = std::to_string(call.keys.size());

    keys_.clear();
    words_ = {"EVALSHA", digests_[static_cast<std::size_t>(call.script)],
              count};

    for (const std::string &key : call.keys) {
        keys_.push_back(settings_.prefix + key);
    }

    words_.insert(words_.end(), keys_.begin(), keys_.end());
    words_.insert(words_.end(), call.arguments.begin(), call.arguments.end());
    return connection_.command(words_, answer, data);

} catch (const std::bad_alloc &) {
    return false;
}

bool redis_commands::runs_nothing(std::string_view wrong) noexcept
{
    constexpr std::array<std::string_view, 3> not_now{"READONLY", "LOADING",
                                                      "MASTERDOWN"};

    if (wrong.starts_with("NOSCRIPT")) {
        connection_.renew("the scripts are gone");
        return true;
    }

    if (std::any_of(not_now.begin(), not_now.end(), [wrong](auto word) {
            return wrong.find(word) != wrong.npos;
        })) {
        connection_.restart(wrong);
        return true;
    }

    return false;
}

bool redis_commands::command(std::span<const std::string_view> words,
                             redis_answer answer, void *data) noexcept
{
    return ready() && connection_.command(words, answer, data);
}

void say_refused(log_throttle &line, const char *what,
                 std::string_view why) noexcept
{
    if (log_permit permit = line.allows(); permit) {
        write_log(NGX_LOG_ERR, ngx_cycle->log,
                  "websocket: Redis does not %V: %V%V", what, unquoted{why},
                  permit.suppressed());
    }
}

std::string_view error_in(const redisReply *reply) noexcept
{
    return reply->type == REDIS_REPLY_ERROR
               ? std::string_view{reply->str, reply->len}
               : std::string_view{};
}

std::string_view text_in(const redisReply *reply) noexcept
{
    return reply->type == REDIS_REPLY_STRING ||
                   reply->type == REDIS_REPLY_STATUS
               ? std::string_view{reply->str, reply->len}
               : std::string_view{};
}

std::span<redisReply *const> list_in(const redisReply *reply) noexcept
{
    return reply->type == REDIS_REPLY_ARRAY
               ? std::span<redisReply *const>{reply->element, reply->elements}
               : std::span<redisReply *const>{};
}

} // namespace websocket::nginx
