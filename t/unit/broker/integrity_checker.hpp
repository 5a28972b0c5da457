// One check of a whole zone.
#pragma once

#include "broker/member_types.hpp"
#include "broker/zone.hpp"

#include <array>
#include <string_view>

namespace websocket::broker::detail {

// Counts that the check finds, and compares with the header.
struct totals {
    index blocks = 0;
    index logs = 0;
    index subscriptions = 0;
    index queued = 0;
    index unused = 0;
    index entries = 0;
    index listed = 0; // entries found through their logs
    index member_blocks = 0;
    std::uint32_t members = 0;
    counted_scope scope; // the current one
    std::uint32_t lost = 0;
    std::array<std::uint32_t, max_slots> seats{};
};

class integrity_checker {
public:
    explicit integrity_checker(zone &z) noexcept : z_{z} {}

    std::string_view run() noexcept;

private:
    bool known(index at) const noexcept;
    bool take(index at) noexcept;
    bool take_chain(index first, std::size_t blocks) noexcept;
    std::string_view check_log(index at, std::uint32_t bucket) noexcept;
    std::string_view check_subscriptions(index log_at) noexcept;
    std::string_view check_subscription(index at, index log_at) noexcept;
    std::string_view check_entries() noexcept;
    std::string_view check_entry(index at, index older) noexcept;
    std::string_view check_lists(index log_at) noexcept;
    std::string_view check_messages(index log_at) noexcept;
    bool leads_back(const entry_record &message,
                    std::uint64_t run) const noexcept;
    std::string_view check_transients(index log_at) noexcept;
    std::string_view check_order(const log_record &log) noexcept;
    index first_after(index entry, std::uint64_t cursor) const noexcept;
    std::string_view check_readers(index log_at) noexcept;
    std::string_view check_reader(const subscription_record &reader) noexcept;
    std::string_view check_unread() noexcept;
    std::string_view check_unused() noexcept;
    std::string_view check_reserved() noexcept;
    std::string_view check_notes() noexcept;
    std::string_view check_note_list(index first, std::uint32_t slot) noexcept;
    std::string_view check_members() noexcept;
    std::string_view check_scope(index at, std::uint32_t bucket) noexcept;
    std::string_view check_member(index at, index scope) noexcept;
    std::string_view check_seats(index at) noexcept;
    std::string_view check_levels(index scope) noexcept;
    std::string_view check_lost() noexcept;
    std::string_view check_free() noexcept;
    std::string_view check_totals() noexcept;

    template <class function>
    std::string_view each_log(function check) noexcept;

    zone &z_;
    totals found_;
    std::size_t blocks_listed_ = 0; // of the entries of the current log
    std::size_t note_blocks_ = 0;
};

// Calls `check(index, bucket)` for each log until it reports a fault. The link
// to the next log is followed only after its check.
template <class function>
std::string_view integrity_checker::each_log(function check) noexcept
{
    for (std::uint32_t i = 0; i < z_.head->bucket_count; i++) {
        for (index at = z_.buckets[i]; at != 0;
             at = z_.log(at).next_in_bucket) {
            if (const std::string_view fault = check(at, i); !fault.empty()) {
                return fault;
            }
        }
    }

    return {};
}

} // namespace websocket::broker::detail
