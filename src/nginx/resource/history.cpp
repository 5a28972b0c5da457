// What a resource keeps of its messages for clients that come later.
#include "nginx/resource/resource.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/output/deflaters.hpp"
#include "nginx/workers/read_buffer.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

// What a client takes at once is not known: pages begin small and grow.
constexpr std::size_t largest_page = 64;
constexpr std::size_t first_page = 8;
using page_buffer = read_buffer<largest_page>;

// Counts what is read and compressed: on the wire it may be next to nothing.
class reading_meter {
public:
    reading_meter() noexcept
        : before_{std::exchange(resource::much_history_read, false)},
          compressed_{compression::compressed}
    {}
    ~reading_meter() { resource::much_history_read = before_; }

    reading_meter(const reading_meter &) = delete;
    reading_meter &operator=(const reading_meter &) = delete;

    // To be called before the message is handed out.
    void count(const broker::message &next) noexcept
    {
        read_ += message_cost + next.payload.size();
        resource::much_history_read =
            read_ + (compression::compressed - compressed_) > much;
    }

private:
    static constexpr std::uint64_t message_cost = 128;
    static constexpr std::uint64_t much = 64 * 1024;

    bool before_;
    std::uint64_t compressed_;
    std::uint64_t read_ = 0;
};

} // namespace

broker::history_request
resource::history_request(const resource_terms &terms) const noexcept
{
    if (history_is_own_) {
        return asked_;
    }

    return {asked_, terms.rules, main_conf_of(*ngx_cycle).number, terms.source};
}

// Only where another source asks than the one before.
void resource::ask_history(const resource_terms &terms) noexcept
{
    if (terms.source == last_source_ || history_is_own_) {
        return;
    }

    last_source_ = terms.source;
    history_ = worker_bus::broker().ask_history(
        subscription_, history_request(terms), worker_bus::now());
}

void resource::keep_history(const broker::limits &kept) noexcept
{
    asked_ = kept;

    if (object_ == nullptr) {
        history_ = broker::larger(history_, kept);
        return;
    }

    history_ = kept;
    history_is_own_ = true;

    if (subscription_) {
        worker_bus::broker().set_limits(subscription_, kept, worker_bus::now());
    }
}

bool resource::read_history(broker::message_id after,
                            int (*each)(void *, const websocket_message_t *),
                            void *data) noexcept
{
    const auto own =
        std::unique_ptr<page_buffer>(new (std::nothrow) page_buffer);
    std::unique_ptr<std::byte[]> larger;

    if (!own || !subscription_) {
        return false;
    }

    const bool same = after.epoch == last_message().epoch;
    std::uint64_t sequence = same ? after.sequence : 0;
    std::size_t page = first_page;
    broker::place place{own->bytes, std::span(own->messages).first(page)};
    bool complete = same || after.epoch == 0;
    reading_meter meter;

    for (;;) {
        const broker::read_result read = worker_bus::broker().read_history(
            subscription_, sequence, place, worker_bus::now());

        if (read.needed != 0) {
            larger = large_buffer(read.needed);
            if (!larger) {
                return false;
            }
            place.bytes = {larger.get(), read.needed};
            continue;
        }

        complete = complete && !read.lost;

        for (const broker::message &message :
             place.messages.first(read.count)) {
            const websocket_message_t words = lent(message);

            // The batch at hand has been read further than delivered
            if (dispatching_ && message.id.epoch == passed_.epoch &&
                message.id.sequence > passed_.sequence) {
                return complete;
            }

            sequence = message.id.sequence;
            meter.count(message);

            if (each(data, &words) != 0) {
                return complete;
            }
        }

        if (!read.more) {
            return complete;
        }

        page = std::min(2 * page, largest_page);
        place.messages = std::span(own->messages).first(page);
    }
}

broker::message_id resource::last_message() const noexcept
{
    if (dispatching_) {
        return passed_;
    }

    return subscription_ ? worker_bus::broker().passed_id(subscription_)
                         : broker::message_id{};
}

} // namespace websocket::nginx
