// The history of a resource: the messages kept for clients that connect later.
#include "nginx/resource/resource.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/output/deflaters.hpp"
#include "nginx/resource/message_user.hpp"
#include "nginx/workers/read_buffer.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

// Messages per page. Pages grow, since the client may stop reading at any time.
constexpr std::size_t max_page = 64;
constexpr std::size_t first_page = 8;
using page_buffer = read_buffer<max_page>;

// Limits reading by the bytes read and compressed, which may exceed the bytes
// sent.
class history_meter {
public:
    history_meter() noexcept
        : before_{std::exchange(resource::history_budget_spent, false)},
          compressed_{compression::compressed}
    {}
    ~history_meter() { resource::history_budget_spent = before_; }

    history_meter(const history_meter &) = delete;
    history_meter &operator=(const history_meter &) = delete;

    // Must be called before the message is passed on.
    void count(const broker::message &next) noexcept
    {
        read_ += message_cost + next.payload.size();
        resource::history_budget_spent =
            read_ + (compression::compressed - compressed_) > budget;
    }

private:
    static constexpr std::uint64_t message_cost = 128;
    static constexpr std::uint64_t budget = 64 * 1024;

    bool before_;
    std::uint64_t compressed_;
    std::uint64_t read_ = 0;
};

} // namespace

broker::history_request
resource::history_request(const resource_settings &settings) const noexcept
{
    if (history_fixed_) {
        return requested_history_;
    }

    const broker::limits named = settings.rules == nullptr
                                     ? broker::limits{}
                                     : settings.rules->of_name(name_);

    return {broker::larger(requested_history_, named), settings.rules,
            main_conf_of(*ngx_cycle).number, settings.source};
}

// Sends a request only if its source differs from the last one.
void resource::update_history_request(
    const resource_settings &settings) noexcept
{
    if (settings.source == last_source_ || history_fixed_) {
        return;
    }

    last_source_ = settings.source;
    history_ = worker_bus::broker().ask_history(
        subscription_, history_request(settings), worker_bus::now());
}

void resource::keep_history(const broker::limits &kept) noexcept
{
    requested_history_ = kept;

    if (object_ == nullptr) {
        history_ = broker::larger(history_, kept);
        return;
    }

    history_ = kept;
    history_fixed_ = true;

    if (subscription_) {
        worker_bus::broker().set_limits(subscription_, kept, worker_bus::now());
    }
}

bool resource::read_history(broker::message_id after,
                            int (*each)(void *, const websocket_message_t *),
                            void *data) noexcept
{
    const auto buffer =
        std::unique_ptr<page_buffer>(new (std::nothrow) page_buffer);
    std::unique_ptr<std::byte[]> larger;

    if (!buffer || !subscription_) {
        return false;
    }

    const bool same = after.epoch == last_message().epoch;
    std::uint64_t sequence = same ? after.sequence : 0;
    std::size_t page = first_page;
    broker::read_buffers buffers{buffer->bytes,
                                 std::span(buffer->messages).first(page)};
    bool complete = same || after.epoch == 0;
    history_meter meter;

    for (;;) {
        const broker::read_result read = worker_bus::broker().read_history(
            subscription_, sequence, buffers, worker_bus::now());

        if (read.needed != 0) {
            if (!enlarge(buffers, larger, read.needed)) {
                return false;
            }
            continue;
        }

        complete = complete && !read.lost;

        for (const broker::message &message :
             buffers.messages.first(read.count)) {
            const websocket_message_t view = as_plugin_message(message);

            // A batch in dispatch has been read further than delivered
            if (dispatching_ && message.id.epoch == delivered_id_.epoch &&
                message.id.sequence > delivered_id_.sequence) {
                return complete;
            }

            sequence = message.id.sequence;
            meter.count(message);

            if (each(data, &view) != 0) {
                return complete;
            }
        }

        if (!read.more) {
            return complete;
        }

        page = std::min(2 * page, max_page);
        buffers.messages = std::span(buffer->messages).first(page);
    }
}

broker::message_id resource::last_message() const noexcept
{
    if (dispatching_) {
        return delivered_id_;
    }

    return subscription_ ? worker_bus::broker().passed_id(subscription_)
                         : broker::message_id{};
}

} // namespace websocket::nginx
