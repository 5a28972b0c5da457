// Adds to this worker's counters.
#include "nginx/workers/counters.hpp"

#include "nginx/core/process_exists.hpp"

#include <algorithm>
#include <span>

namespace websocket::nginx::counters {

namespace {

slot_counters unused_block;

using code_table = std::span<single_writer<std::uint16_t>>;

// Returns the index of a code, which is added if one of the first `max_used`
// entries is free; else the size of the table.
std::size_t find_or_add(code_table table, std::uint16_t code,
                        std::size_t max_used) noexcept
{
    for (std::size_t i = 0; i != table.size(); i++) {
        const std::uint16_t known = table[i].get();

        if (known == code) {
            return i;
        }

        if (known == 0 && i < max_used) {
            table[i].set(code);
            return i;
        }
    }

    return table.size();
}

} // namespace

slot_counters *current = &unused_block;

// A reader sees no worker meanwhile, or one that has counted nothing yet.
void start(slot_counters &block) noexcept
{
    block.pid.store(0);
    block.clients.set(0);
    block.draining.set(0);
    block.waiting.set(0);
    block.disconnected.set(0);
    block.queued.set(0);
    block.queued_bytes.set(0);
    block.http.out.set(0);
    block.http.waiting.set(0);

    for (std::size_t i = 0; i != counter_count; i++) {
        block.baseline[i].set(block.totals[i].get());
    }

    block.generations.set(static_cast<std::uint16_t>(
        std::min<unsigned>(block.generations.get() + 1U, UINT16_MAX)));
    block.pid.store(ngx_pid);
    current = &block;
}

void stop() noexcept
{
    current->clients.set(0);
    current->pid.store(0);
    current = &unused_block;
}

void clear_dead(slot_counters &block, std::int32_t pid) noexcept
{
    block.pid.compare_exchange_strong(pid, 0);
}

bool in_use(const slot_counters &block) noexcept
{
    return process_exists(block.pid.load());
}

void handshake_refused(ngx_uint_t status) noexcept
{
    const auto code = static_cast<std::uint16_t>(status);
    const auto known =
        std::find(known_statuses.begin(), known_statuses.end(), code);
    const std::size_t at =
        known != known_statuses.end()
            ? refused_index +
                  static_cast<std::size_t>(known - known_statuses.begin())
            : extra_refused_index +
                  find_or_add(current->statuses, code, extra_statuses);

    current->totals[at].add(1);
}

void session_closed(std::uint16_t code, bool by_client) noexcept
{
    const bool known =
        code >= first_close_code && code < first_close_code + known_close_codes;
    const std::size_t max_used =
        by_client ? extra_close_codes / 2 : extra_close_codes;
    const std::size_t at =
        known ? closed_index + code - first_close_code
              : extra_closed_index +
                    find_or_add(current->close_codes, code, max_used);

    current->totals[at].add(1);
}

void set_draining() noexcept
{
    current->draining.set(1);
}

} // namespace websocket::nginx::counters
