// Applies the entries of a shard's log in their order.
#include "nginx/backplane/shard_reader.hpp"

#include "nginx/backplane/shard_call.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <array>
#include <iterator>
#include <utility>

namespace websocket::nginx {

namespace {

constexpr std::string_view fetch_size = "1048576";

// Beyond that the log is read again instead.
constexpr std::size_t max_deferred = 4 * 1024 * 1024;

void log_loss(unsigned shard) noexcept
{
    static log_throttle line;

    if (log_permit permit = line.allows(); permit) {
        write_log(NGX_LOG_NOTICE, ngx_cycle->log,
                  "websocket: Redis no longer has what follows the position of "
                  "this host in log %ui: its resources are read anew%V",
                  static_cast<ngx_uint_t>(shard), permit.suppressed());
    }
}

void log_invalid_entry(unsigned shard) noexcept
{
    static log_throttle line;

    if (log_permit permit = line.allows(); permit) {
        write_log(NGX_LOG_ERR, ngx_cycle->log,
                  "websocket: log %ui in Redis has an entry that this version "
                  "cannot read: its resources are read anew; all hosts must "
                  "have the same version of the module%V",
                  static_cast<ngx_uint_t>(shard), permit.suppressed());
    }
}

void log_fetch_failed(std::string_view reason) noexcept
{
    static log_throttle line;

    log_refused(line, "return missed entries", reason, "retrying");
}

} // namespace

void shard_reader::on_subscribed()
{
    cursor_ = worker_bus::broker().cursor(shard_);
    began_late_ = false;
    read();
}

void shard_reader::on_disconnect() noexcept
{
    state_ = state::off;
    awaited_ = {};
    compared_ = {};
    deferred_.clear();
    deferred_bytes_ = 0;
}

void shard_reader::stop() noexcept
{
    on_disconnect();
    to_confirm_.clear();
    confirming_.clear();
    stopped_ = true;
}

void shard_reader::retry()
{
    if (state_ == state::failed) {
        read();
    }
}

void shard_reader::confirm(std::string_view name)
{
    to_confirm_.emplace_back(name);

    if (state_ == state::current && awaited_.epoch == 0) {
        fetch();
    }
}

void shard_reader::on_log_end(broker::message_id end)
{
    const broker::message_id before = std::exchange(compared_, cursor_.last);

    if (state_ == state::current && !in_flight_ && end != cursor_.last &&
        before == cursor_.last) {
        read();
    }
}

// Reads the log. Entries that it no longer has are lost.
void shard_reader::read()
{
    state_ = state::reading;
    awaited_ = {};
    fetch();
}

void shard_reader::fetch()
{
    if (in_flight_) {
        again_ = true;
        return;
    }

    const std::array<std::string_view, 2> arguments{fetch_size,
                                                    begins() ? "1" : "0"};

    again_ = false;
    confirming_.insert(confirming_.end(),
                       std::make_move_iterator(to_confirm_.begin()),
                       std::make_move_iterator(to_confirm_.end()));
    to_confirm_.clear();
    requested_ = cursor_.last;
    in_flight_ = run(redis_, {redis::script::fetch, shard_, {}, arguments},
                     on_reply, this);

    if (!in_flight_) {
        fail();
    }
}

void shard_reader::fail() noexcept
{
    state_ = state::failed;
    began_late_ = begins();
}

void shard_reader::on_reply(void *data, const redisReply *reply) noexcept
{
    auto &self = *static_cast<shard_reader *>(data);

    self.in_flight_ = false;

    if (reply != nullptr) { // otherwise the connection was lost
        self.listener_.run_callback(self, *reply);
    }
}

void shard_reader::on_fetch_reply(const redisReply &reply)
{
    if (state_ == state::off) {
        return;
    }

    if (const std::string_view error = error_in(&reply); !error.empty()) {
        log_fetch_failed(error);
        fail();
        return;
    }

    const auto parts = list_in(&reply);
    const auto number = [&parts](std::size_t at) {
        return parts.size() == 4 ? detail::decimal(text_in(parts[at]))
                                 : std::nullopt;
    };
    const auto epoch = number(0);
    const auto end = number(1);
    const auto before = number(2);

    if (!epoch || !end || !before) {
        log_fetch_failed("unexpected reply");
        fail();
        return;
    }

    align_to({*epoch, *before}, {*epoch, *end});

    const std::uint64_t begin = cursor_.last.sequence;

    for (const redisReply *each : list_in(parts[3])) {
        const auto entry = list_in(each);
        const auto id = entry.size() == 2
                            ? redis::parse_message_id(text_in(entry[0]))
                            : std::nullopt;
        const auto fields =
            id ? list_in(entry[1]) : std::span<redisReply *const>{};

        if (fields.size() != 2 ||
            (id->sequence > cursor_.last.sequence &&
             !apply({*epoch, id->sequence}, text_in(fields[1])))) {
            break;
        }
    }

    if (cursor_.last.sequence < *end && cursor_.last.sequence == begin) {
        if (state_ == state::current) {
            awaited_ = {*epoch, *end};
            return;
        }
        skip_to({*epoch, *end});
    }

    cursor_.last.sequence < *end || again_ ? fetch() : finish();
}

// Aligns the cursor with the beginning of a page. Redis may have lost entries
// that this host has.
void shard_reader::align_to(broker::message_id before, broker::message_id end)
{
    if (begins()) {
        stopped_ = false;
        cursor_ = {before, redis_.run_id_hash(shard_)};
        store_cursor();

        if (std::exchange(began_late_, false)) {
            listener_.on_shard_loss(shard_, before);
        }
    } else if (before.sequence < requested_.sequence ||
               (requested_.sequence == 0 && requested_.epoch != end.epoch)) {
        skip_to(end); // also if the host has no entry: it may have missed some
    } else if (cursor_.last.epoch != end.epoch ||
               cursor_.run != redis_.run_id_hash(shard_)) {
        cursor_ = {{end.epoch, cursor_.last.sequence},
                   redis_.run_id_hash(shard_)};
        store_cursor();
    }
}

void shard_reader::skip_to(broker::message_id end)
{
    const broker::message_id since = cursor_.last;

    cursor_ = {end, redis_.run_id_hash(shard_)};
    store_cursor();
    log_loss(shard_);
    listener_.on_shard_loss(shard_, since);
}

// False: entries before it are missing.
bool shard_reader::apply(broker::message_id id, std::string_view text)
{
    if (id !=
        broker::message_id{cursor_.last.epoch, cursor_.last.sequence + 1}) {
        return false;
    }

    const broker::message_id since = cursor_.last;

    if (const auto entry = redis::parse_log_entry(text); entry) {
        cursor_.run = entry->run;
        listener_.on_entry(*entry, text, id);
    } else {
        log_invalid_entry(shard_);
        listener_.on_shard_loss(shard_, since);
    }

    cursor_.last = id;
    store_cursor();
    return true;
}

void shard_reader::store_cursor() noexcept
{
    (void)worker_bus::broker().store_cursor(shard_, cursor_);
}

void shard_reader::finish()
{
    const bool was_reading =
        std::exchange(state_, state::current) != state::current;
    const auto deferred = std::exchange(deferred_, {});

    deferred_bytes_ = 0;

    for (const std::string &text : deferred) {
        on_message(text);
    }

    if (state_ != state::current) {
        return; // entries are still missing
    }

    if (was_reading) {
        listener_.on_shard_current(shard_);
    }

    for (const std::string &name : std::exchange(confirming_, {})) {
        listener_.on_confirmed(name);
    }

    if (!to_confirm_.empty()) {
        fetch();
    }
}

void shard_reader::on_message(std::string_view text)
{
    const auto numbered = redis::parse_numbered_entry(text);

    if (!numbered || state_ == state::off) {
        return;
    }

    const bool known = numbered->id.epoch == cursor_.last.epoch &&
                       numbered->id.sequence <= cursor_.last.sequence;

    if (state_ != state::current) {
        defer(text);
    } else if (!known && !apply(numbered->id, numbered->text)) {
        defer(text);
        read();
    } else if (awaited_.epoch != 0 &&
               cursor_.last.sequence >= awaited_.sequence) {
        awaited_ = {};
        finish();
    }
}

void shard_reader::defer(std::string_view text)
{
    if (deferred_bytes_ + text.size() > max_deferred) {
        deferred_.clear();
        deferred_bytes_ = 0;
        again_ = true;
    }

    deferred_.emplace_back(text);
    deferred_bytes_ += text.size();
}

} // namespace websocket::nginx
