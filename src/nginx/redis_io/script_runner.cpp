// Loads the scripts on each new connection, because a restarted Redis has lost
// them, and runs them by their digests.
#include "nginx/redis_io/script_runner.hpp"

#include "nginx/core/log_line.hpp"
#include "sdk/websocket_text.hpp"

#include <algorithm>
#include <new>

namespace websocket::nginx {

namespace {

// The value of a line; empty: there is none.
std::string_view value_in(std::string_view info, std::string_view name) noexcept
{
    const std::size_t at = info.find(name);

    if (at == info.npos) {
        return {};
    }

    info.remove_prefix(at + name.size());
    return info.substr(0, info.find('\r'));
}

// Channels of shards exist since version 7. An unknown version is not refused.
bool has_shard_channels(std::string_view info) noexcept
{
    const std::string_view version = value_in(info, "\nredis_version:");
    const auto major = detail::decimal(version.substr(0, version.find('.')));

    return !major || *major >= 7;
}

// A hash of run_id, which is new for each start of Redis and the same for all
// clients; the replication id is not.
std::uint32_t run_id_hash_in(std::string_view info) noexcept
{
    const std::string_view run = value_in(info, "\nrun_id:");

    if (run.empty()) {
        return 0;
    }

    const std::uint32_t sum = ngx_crc32_long(
        reinterpret_cast<u_char *>(const_cast<char *>(run.data())), run.size());

    return sum == 0 ? 1 : sum;
}

} // namespace

script_runner::script_runner(const redis_settings &settings,
                             const redis_target &target,
                             script_runner::owner &holder) noexcept
    : settings_{settings}, owner_{holder}, connection_{
                                               settings, target, *this,
                                               redis_connection::role::commands}
{}

void script_runner::close() noexcept
{
    loaded_scripts_ = 0;
    connection_.close();
}

void script_runner::on_redis_ready() noexcept
try {
    const std::string_view info[] = {"INFO", "server"};

    loaded_scripts_ = 0;
    run_id_hash_ = 0;

    bool sent = connection_.command(info, on_info, this);

    for (std::size_t i = 0; sent && i != redis::script_count; i++) {
        const std::string text = redis::script_text(
            static_cast<redis::script>(i), settings_.in_cluster());
        const std::array<std::string_view, 3> args{"SCRIPT", "LOAD", text};

        sent = connection_.command(args, on_script_loaded, this);
    }

    if (!sent) {
        connection_.restart("no memory");
    }
} catch (const std::bad_alloc &) {
    connection_.restart("no memory");
}

// The user may not have permission for INFO.
void script_runner::on_info(void *data, const redisReply *reply) noexcept
{
    if (reply == nullptr) {
        return; // on_redis_lost() follows
    }

    if (const std::string_view error = error_in(reply); !error.empty()) {
        static log_throttle line;

        log_refused(line, "run INFO", error, "lost messages may go undetected");
        return;
    }

    auto &self = *static_cast<script_runner *>(data);
    const std::string_view info = text_in(reply);

    self.run_id_hash_ = run_id_hash_in(info);

    if (self.settings_.in_cluster() && !has_shard_channels(info)) {
        self.connection_.restart("Redis Cluster requires Redis 7.0 or later");
    }
}

// Replies come in the order of the commands.
void script_runner::on_script_loaded(void *data,
                                     const redisReply *reply) noexcept
try {
    auto &self = *static_cast<script_runner *>(data);

    if (reply == nullptr) {
        return; // on_redis_lost() follows
    }

    if (const std::string_view error = error_in(reply); !error.empty()) {
        self.connection_.restart(error);
        return;
    }

    self.digests_[self.loaded_scripts_++] = text_in(reply);

    if (self.ready()) {
        self.owner_.on_commands_ready();
    }
} catch (const std::bad_alloc &) {
    static_cast<script_runner *>(data)->connection_.restart("no memory");
}

void script_runner::on_redis_lost(std::string_view) noexcept
{
    const bool was_ready = ready();

    loaded_scripts_ = 0;

    if (was_ready) {
        owner_.on_commands_lost();
    }
}

bool script_runner::run(const script_call &call, reply_callback callback,
                        void *data) noexcept
try {
    if (!ready()) {
        return false;
    }

    const std::size_t keys = call.first_keys.size() + call.keys.size();
    const std::string count = std::to_string(keys);
    std::size_t at = 0;

    args_ = {"EVALSHA", digests_[static_cast<std::size_t>(call.script)], count};

    if (keys_.size() < keys) {
        keys_.resize(keys);
    }

    for (const auto &some : {call.first_keys, call.keys}) {
        for (const std::string &key : some) {
            args_.push_back(keys_[at++].assign(settings_.prefix).append(key));
        }
    }

    for (const auto &some : {call.first_arguments, call.arguments}) {
        args_.insert(args_.end(), some.begin(), some.end());
    }

    return connection_.command(args_, callback, data);

} catch (const std::bad_alloc &) {
    return false;
}

bool script_runner::reconnect_if_unusable(std::string_view error) noexcept
{
    constexpr std::array<std::string_view, 3> not_now{"READONLY", "LOADING",
                                                      "MASTERDOWN"};

    if (error.starts_with("NOSCRIPT")) {
        connection_.reconnect("it has lost the scripts");
        return true;
    }

    if (std::any_of(not_now.begin(), not_now.end(), [error](auto code) {
            return error.find(code) != error.npos;
        })) {
        connection_.restart(error);
        return true;
    }

    return false;
}

bool script_runner::command(std::span<const std::string_view> args,
                            reply_callback callback, void *data) noexcept
{
    return ready() && connection_.command(args, callback, data);
}

bool script_runner::ask() noexcept
{
    const std::string_view args[] = {"ASKING"};

    return command(args, nullptr, nullptr);
}

void log_refused(log_throttle &line, const char *command,
                 std::string_view reason, const char *effect) noexcept
{
    if (log_permit permit = line.allows(); permit) {
        write_log(NGX_LOG_ERR, ngx_cycle->log,
                  "websocket: Redis refused to %V: %V; %V%V", command,
                  unquoted{reason}, effect, permit.suppressed());
    }
}

} // namespace websocket::nginx
