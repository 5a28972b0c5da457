// Checks the records: logs, subscriptions and entries. Each check stops at the
// first fault, before it follows a wrong link. So it also ends in damaged
// memory.
#include "integrity_check.hpp"
#include "integrity_checker.hpp"

#include "broker/blocks.hpp"
#include "broker/lock_guard.hpp"
#include "broker/log_table.hpp"
#include "broker/subscriptions.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include <array>

namespace websocket::broker::detail {

// Whether the block belongs to a record that was found before.
bool integrity_checker::known(index at) const noexcept
{
    return at != 0 && at <= z_.head->block_count && marked(z_, at);
}

// Marks a block. Each block belongs to one record or is free.
bool integrity_checker::take(index at) noexcept
{
    if (at == 0 || at > z_.head->block_count || marked(z_, at)) {
        return false;
    }

    mark(z_, at);
    found_.blocks++;
    return true;
}

bool integrity_checker::take_chain(index first, std::size_t blocks) noexcept
{
    index at = first;

    for (; blocks > 0; blocks--) {
        if (!take(at)) {
            return false;
        }
        at = z_.next[at];
    }

    return at == 0;
}

std::string_view integrity_checker::check_log(index at,
                                              std::uint32_t bucket) noexcept
{
    if (at > z_.head->block_count) {
        return "a linked log is not a block";
    }

    const log_record &log = z_.log(at);
    std::array<std::byte, max_name_size> name;

    if (log.name_size > max_name_size ||
        !take_chain(at, log_blocks(log.name_size))) {
        return "a log's chain of blocks is wrong";
    }

    const std::span<std::byte> bytes = copy_name(z_, at, name);
    const log_name as(
        z_, {reinterpret_cast<const char *>(bytes.data()), bytes.size()});

    if (as.hash != log.name_hash || &z_.bucket_of(as.hash) - z_.buckets !=
                                        static_cast<std::ptrdiff_t>(bucket)) {
        return "a log is in the wrong bucket";
    }

    if (find_log(z_, as) != at) {
        return "two logs have the same name";
    }

    if (log.epoch == 0 || log.epoch > z_.head->last_epoch) {
        return "a log's epoch was never assigned";
    }

    if (log.last_gap > log.last_position + 1) {
        return "a log has a gap after its end";
    }

    found_.logs++;
    return check_subscriptions(at);
}

std::string_view integrity_checker::check_subscriptions(index log_at) noexcept
{
    const log_record &log = z_.log(log_at);
    std::uint32_t clients = 0;

    for (index at = log.subscriptions; at != 0;
         at = z_.subscription(at).next_in_log) {
        if (const std::string_view fault = check_subscription(at, log_at);
            !fault.empty()) {
            return fault;
        }
        clients += z_.subscription(at).clients;
    }

    if (clients != log.clients) {
        return "a log's clients are not the sum of its subscriptions";
    }

    return {};
}

std::string_view integrity_checker::check_subscription(index at,
                                                       index log_at) noexcept
{
    if (!take_chain(at, 1)) {
        return "a subscription's chain of blocks is wrong";
    }

    const subscription_record &found = z_.subscription(at);

    if (found.log != log_at) {
        return "a subscription belongs to another log";
    }

    if (find_subscription(z_, {at, found.check}) == nullptr) {
        return "a subscription's slot has another owner";
    }

    if (found.cursor > z_.log(log_at).last_position) {
        return "a subscription is ahead of its log";
    }

    found_.subscriptions++;
    found_.queued += found.queued;
    return {};
}

std::string_view integrity_checker::check_entries() noexcept
{
    index older = 0;

    for (index at = z_.head->oldest; at != 0; at = z_.entry(at).newer) {
        if (const std::string_view fault = check_entry(at, older);
            !fault.empty()) {
            return fault;
        }
        older = at;
    }

    if (z_.head->newest != older) {
        return "the newest entry is not the last of the list";
    }

    return {};
}

std::string_view integrity_checker::check_entry(index at, index older) noexcept
{
    if (at > z_.head->block_count) {
        return "a linked entry is not a block";
    }

    const entry_record &entry = z_.entry(at);

    if (!take_chain(at, blocks_for(sizeof(entry_record), entry.size))) {
        return "an entry's chain of blocks is wrong";
    }

    if (!known(entry.log)) {
        return "an entry's log does not exist";
    }

    if (entry.older != older) {
        return "the list of all entries has a wrong link back";
    }

    found_.entries++;
    return {};
}

std::string_view integrity_checker::run() noexcept
{
    clear_marks(z_);

    std::string_view fault = each_log([this](index at, std::uint32_t bucket) {
        return check_log(at, bucket);
    });

    if (fault.empty()) {
        fault = check_entries();
    }

    if (fault.empty()) {
        fault = each_log(
            [this](index at, std::uint32_t) { return check_lists(at); });
    }

    if (fault.empty()) {
        fault = each_log(
            [this](index at, std::uint32_t) { return check_readers(at); });
    }

    for (const auto check :
         {&integrity_checker::check_unread, &integrity_checker::check_unused,
          &integrity_checker::check_reserved, &integrity_checker::check_notes,
          &integrity_checker::check_members, &integrity_checker::check_free,
          &integrity_checker::check_totals}) {
        if (fault.empty()) {
            fault = (this->*check)();
        }
    }

    return fault;
}

} // namespace websocket::broker::detail

namespace websocket::broker {

std::string_view check_integrity(broker &checked) noexcept
{
    const detail::locked_zone hold(checked.mutex_, checked.zone_);

    return detail::integrity_checker(checked.zone_).run();
}

} // namespace websocket::broker
