// Counts what this worker does.
#include "nginx/workers/counters.hpp"

#include <algorithm>
#include <span>

namespace websocket::nginx::figures {

namespace {

slot_block unread;

using code_places = std::span<shared_number<std::uint16_t>>;

// The place of a code, taken if there is still a free one among the first
// `most`; none: the number of places.
std::size_t place_of(code_places places, std::uint16_t code,
                     std::size_t most) noexcept
{
    for (std::size_t i = 0; i != places.size(); i++) {
        const std::uint16_t known = places[i].get();

        if (known == code) {
            return i;
        }

        if (known == 0 && i < most) {
            places[i].set(code);
            return i;
        }
    }

    return places.size();
}

} // namespace

slot_block *own = &unread;

// Whoever reads meanwhile sees no worker, or one that has done nothing yet.
void start(slot_block &block) noexcept
{
    block.pid.store(0);
    block.clients.set(0);
    block.draining.set(0);
    block.queued.set(0);
    block.queued_bytes.set(0);

    for (std::size_t i = 0; i != counts; i++) {
        block.done_before[i].set(block.done[i].get());
    }

    block.came.set(static_cast<std::uint16_t>(
        std::min<unsigned>(block.came.get() + 1U, UINT16_MAX)));
    block.pid.store(ngx_pid);
    own = &block;
}

void stop() noexcept
{
    own->clients.set(0);
    own->pid.store(0);
    own = &unread;
}

void refused(ngx_uint_t status) noexcept
{
    const auto code = static_cast<std::uint16_t>(status);
    const auto usual =
        std::find(usual_statuses.begin(), usual_statuses.end(), code);
    const std::size_t at =
        usual != usual_statuses.end()
            ? refused_at +
                  static_cast<std::size_t>(usual - usual_statuses.begin())
            : other_refused_at + place_of(own->statuses, code, other_statuses);

    own->done[at].add(1);
}

void closed(std::uint16_t code, bool by_client) noexcept
{
    const bool usual =
        code >= first_close_code && code < first_close_code + usual_close_codes;
    const std::size_t most =
        by_client ? other_close_codes / 2 : other_close_codes;
    const std::size_t at =
        usual ? closed_at + code - first_close_code
              : other_closed_at + place_of(own->close_codes, code, most);

    own->done[at].add(1);
}

void drains() noexcept
{
    own->draining.set(1);
}

} // namespace websocket::nginx::figures
