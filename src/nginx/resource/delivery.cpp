// Delivers messages from the log to clients: all workers read the same messages
// in the same order.
//
// Delivery runs from the event loop, never inside a handler's call. Each entry
// of the log has a position. Between two entries the worker sends what was
// postponed to that position, and adds clients that wait for it.
#include "nginx/resource/resource.hpp"

#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/output/deflaters.hpp"
#include "nginx/output/shared_frame.hpp"
#include "nginx/resource/membership.hpp"
#include "nginx/resource/message_user.hpp"
#include "nginx/workers/counters.hpp"
#include "nginx/workers/read_buffer.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "protocol/frames/close_code.hpp"
#include "protocol/text/utf8.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

read_buffer<64> delivery_buffer;

// Bytes, or clients examined, that cost about as much as one delivery.
constexpr std::size_t copied_bytes_per_unit = 512;
constexpr std::size_t compressed_bytes_per_unit = 8;
constexpr std::size_t clients_per_unit = 64;

// The id of the message before this one.
broker::message_id id_before(const broker::message &message) noexcept
{
    return {message.id.epoch,
            message.id.sequence - (message.transient ? 0 : 1)};
}

// A transient message, or a user's: a handler may send it to some clients only.
bool is_event(const broker::message &message) noexcept
{
    return message.transient &&
           (kind_of(message.kind) <= WEBSOCKET_BINARY ||
            message.kind == kind_user_joined || message.kind == kind_user_left);
}

websocket_text_t text_of(const broker::message &message) noexcept
{
    return {reinterpret_cast<const char *>(message.payload.data()),
            message.payload.size()};
}

} // namespace

resource::delivery_scope::delivery_scope(resource &target) noexcept
    : target_{target}, published_before_{std::exchange(target.published_, 0)},
      delivering_before_{std::exchange(target.delivering_, true)}
{}

resource::delivery_scope::~delivery_scope()
{
    target_.published_ = std::max(target_.published_, published_before_);
    target_.delivering_ = delivering_before_;
}

// A batch is as large as the budget allows, at least one message.
void resource::deliver(std::size_t &budget) noexcept
{
    if (!subscription_) {
        return;
    }

    std::unique_ptr<std::byte[]> larger;
    broker::read_buffers buffers{delivery_buffer.bytes,
                                 delivery_buffer.messages};
    broker::read_result read{.more = true};
    const bool was_congested = congested();

    retain();

    while (read.more && budget != 0 && subscription_) {
        if (reserved_ != 0) {
            delivery_deferred_ = true;
            break;
        }

        buffers.messages =
            std::span(delivery_buffer.messages)
                .first(std::clamp<std::size_t>(
                    budget / std::max<std::size_t>({counted_, last_cost_, 1}),
                    1, delivery_buffer.messages.size()));
        read = worker_bus::broker().read(subscription_, buffers,
                                         worker_bus::now());

        if (read.needed != 0) {
            if (!enlarge(buffers, larger, read.needed)) {
                budget = 0; // no memory: the next turn tries again
                break;
            }
            read.more = true;
            continue;
        }

        const auto messages = buffers.messages.first(read.count);

        if (read.lost) {
            advance_past_loss(messages, read.position);
        }

        const std::size_t cost = dispatch(messages);

        budget -= std::min(budget, cost);
        last_cost_ = messages.empty() ? last_cost_ : cost / messages.size();
        advance_to(read.position);
        undelivered_size_ = has_undelivered_own() ? undelivered_size_ : 0;
    }

    if (was_congested && !congested()) {
        resume_reads();
    }

    release();
}

void resource::deliver_again() noexcept
{
    if (std::exchange(delivery_deferred_, false)) {
        worker_bus::deliver_again(*this);
    }
}

void resource::resume_reads() noexcept
{
    for (membership *client = next_client(nullptr); client != nullptr;
         client = next_client(client)) {
        client->resume_reading();
    }
}

// Sends what was postponed up to this position, and adds clients that waited
// for it.
void resource::advance_to(std::uint64_t position) noexcept
{
    delivered_ = std::max(delivered_, position);

    while (membership *client = postponed_.first_due(delivered_)) {
        client->send_postponed();
    }

    while (!ngx_queue_empty(&joining_)) {
        membership *first = membership::from_link(ngx_queue_head(&joining_));

        if (first->join_position() > delivered_) {
            return;
        }

        ngx_queue_remove(first->link());
        ngx_queue_init(first->link()); // withdraw_client() may follow
        first->on_join_position();
    }
}

// Clients whose position is within the lost messages join before the loss is
// reported: they have lost messages, too.
void resource::advance_past_loss(std::span<const broker::message> messages,
                                 std::uint64_t position) noexcept
{
    const bool all = messages.empty();

    dispatching_ = !all;
    delivered_id_ = all ? last_message() : id_before(messages.front());
    advance_to((all ? position : messages.front().position - 1) - 1);
    dispatching_ = false;
    report_loss();
}

// Returns the cost in deliveries.
std::size_t
resource::dispatch(std::span<const broker::message> messages) noexcept
{
    std::size_t expected = 0;

    for (const broker::message &message : messages) {
        expected += protocol::max_server_header + message.payload.size();
    }

    const frame_arena one_run(expected);
    const std::uint64_t compressed = compression::compressed;
    const auto &bytes_out = counters::current->totals[counters::bytes_out];
    const std::uint64_t bytes_before = bytes_out.get();
    std::size_t cost = expected / copied_bytes_per_unit;

    dispatching_ = true;

    for (const broker::message &message : messages) {
        delivered_id_ = id_before(message);
        advance_to(message.position - 1);
        delivered_id_ = message.id;
        cost += dispatch_metered(message);
        advance_to(message.position);
    }

    dispatching_ = false;

    const std::uint64_t queued = bytes_out.get() - bytes_before;

    queued_bytes += queued;
    return std::max<std::size_t>(cost, queued / copied_bytes_per_unit) +
           (compression::compressed - compressed) / compressed_bytes_per_unit;
}

// The cost of an event is the number of sends, and a share for examining the
// clients.
std::size_t resource::dispatch_metered(const broker::message &message) noexcept
{
    const auto &sent = counters::current->totals[counters::messages_out];
    const std::uint64_t sent_before = sent.get();

    dispatch(message);

    return is_event(message)
               ? 1 + counted_ / clients_per_unit + (sent.get() - sent_before)
               : 1 + counted_;
}

void resource::dispatch(const broker::message &message) noexcept
{
    const delivery_scope scope(*this);

    if (message.kind == kind_close_all) {
        const auto high = std::to_integer<unsigned>(message.payload[0]);
        const auto low = std::to_integer<unsigned>(message.payload[1]);
        const auto reason = message.payload.subspan(2);

        close_all(
            static_cast<std::uint16_t>(high << 8 | low),
            {reinterpret_cast<const char *>(reason.data()), reason.size()});

    } else if (message.kind == kind_clients_lost) {
        if (handler_.clients_lost != nullptr) {
            handler_.clients_lost(object_);
        }

    } else if (message.kind == kind_user_joined) {
        if (handler_.user_joined != nullptr) {
            handler_.user_joined(object_, text_of(message), message.from);
        }

    } else if (message.kind == kind_user_left) {
        if (handler_.user_left != nullptr) {
            handler_.user_left(object_, text_of(message), message.from);
        }

    } else if (handler_.message_published != nullptr) {
        const websocket_message_t view = as_plugin_message(message);
        handler_.message_published(object_, &view);

    } else {
        send_to_all(message);
    }
}

// The message is encoded once, and all clients share the bytes.
void resource::send_to_all(const broker::message &message) noexcept
{
    const websocket_message_t view = as_plugin_message(message);
    const shared_frame frame(
        view.kind == WEBSOCKET_TEXT ? protocol::opcode::text
                                    : protocol::opcode::binary,
        {static_cast<const std::byte *>(view.data), view.length});

    if (!frame) {
        report_loss();
        return;
    }

    for (membership *client = next_client(nullptr); client != nullptr;
         client = next_client(client)) {
        client->send(frame);
    }
}

void resource::close_all(std::uint16_t code, std::string_view reason) noexcept
{
    for (membership *client = next_client(nullptr); client != nullptr;
         client = next_client(client)) {
        client->close_by_server(code, reason);
    }
}

// The worker was too slow for the size of the shared memory. Its clients must
// learn that they missed messages.
void resource::report_loss() noexcept
{
    static log_throttle line;
    const delivery_scope scope(*this);

    if (next_client(nullptr) == nullptr) {
        return; // only reserved clients
    }

    counters::add(counters::lost);

    if (log_permit permit = line.allows(); permit) {
        write_log(NGX_LOG_WARN, ngx_cycle->log,
                  "websocket: messages of %V \"%V\" were lost to its "
                  "clients on this worker%V",
                  handler_.name, name_, permit.suppressed());
    }

    if (handler_.messages_lost != nullptr) {
        handler_.messages_lost(object_);
    } else {
        close_all(protocol::close_code::try_again_later, "messages were lost");
    }
}

} // namespace websocket::nginx
