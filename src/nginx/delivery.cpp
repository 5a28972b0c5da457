// What resources publish and their clients get: over the broker, so that all
// workers have the same messages in the same order.
#include "nginx/resource.hpp"

#include "nginx/backplane.hpp"
#include "nginx/exchange.hpp"
#include "nginx/figures.hpp"
#include "nginx/reading_room.hpp"
#include "nginx/said_lately.hpp"
#include "nginx/session.hpp"
#include "nginx/shared_frame.hpp"
#include "protocol/close_code.hpp"
#include "protocol/utf8.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <new>

namespace websocket::nginx {

namespace {

reading_room<64> room;

// Handlers that are told of messages may publish and send: what comes of that
// waits until the messages at hand are delivered.
bool delivering = false;

} // namespace

void resource::deliver_own() noexcept
{
    std::size_t budget = 1000; // the rest comes in its turn

    deliver(budget);
}

void resource::catch_up() noexcept
{
    std::size_t budget = SIZE_MAX;

    deliver(budget);
}

void resource::deliver(std::size_t &budget) noexcept
{
    if (delivering || !subscription_) {
        return;
    }

    deferred_ = arriving_ != 0;

    if (deferred_) {
        budget--;
        return;
    }

    std::unique_ptr<std::byte[]> larger;
    broker::place place{room.bytes, room.messages};
    broker::read_result read{.more = true};

    delivering = true;
    hold();

    while (read.more && budget != 0 && subscription_) {
        place.messages = std::span(room.messages)
                             .first(std::min(budget, room.messages.size()));
        read = exchange::shared().read(subscription_, place, exchange::now());

        if (read.needed != 0) {
            larger = larger_room(read.needed);
            if (!larger) {
                budget = 0; // it stays there: the next turn tries again
                break;
            }
            place.bytes = {larger.get(), read.needed};
            read.more = true;
            continue;
        }

        if (read.lost) {
            tell_of_loss();
        }

        hand_out(place.messages.first(read.count));
        budget -= read.count;
    }

    unsettled_ = read.more;
    delivering = false;
    let_go();
}

void resource::hand_out(std::span<const broker::message> messages) noexcept
{
    std::size_t expected = 0;

    for (const broker::message &message : messages) {
        expected += protocol::max_server_header + message.payload.size();
    }

    const frame_run one_run(expected);

    for (const broker::message &message : messages) {
        hand_out(message);
    }
}

void resource::hand_out(const broker::message &message) noexcept
{
    if (message.kind == close_order) {
        const auto high = std::to_integer<unsigned>(message.payload[0]);
        const auto low = std::to_integer<unsigned>(message.payload[1]);
        const auto reason = message.payload.subspan(2);

        close_all(
            static_cast<std::uint16_t>(high << 8 | low),
            {reinterpret_cast<const char *>(reason.data()), reason.size()});

    } else if (message.kind == lost_clients) {
        if (handler_.clients_lost != nullptr) {
            handler_.clients_lost(object_);
        }

    } else if (handler_.message_published != nullptr) {
        const websocket_message_t words = lent(message);
        handler_.message_published(object_, &words);

    } else {
        send_to_all(message);
    }
}

// Encoded once: all clients refer to the same bytes.
void resource::send_to_all(const broker::message &message) noexcept
{
    const shared_frame frame(message.kind == WEBSOCKET_TEXT
                                 ? protocol::opcode::text
                                 : protocol::opcode::binary,
                             message.payload);

    if (!frame) {
        tell_of_loss();
        return;
    }

    for (session *client = next_client(nullptr); client != nullptr;
         client = next_client(client)) {
        client->send_shared(frame);
    }
}

void resource::close_all(std::uint16_t code, std::string_view reason) noexcept
{
    for (session *client = next_client(nullptr); client != nullptr;
         client = next_client(client)) {
        client->close(code, reason, ended_by::server);
    }
}

// This worker was too slow, and the memory too small: the clients are not left
// to believe that they have heard all.
void resource::tell_of_loss() noexcept
{
    static said_lately line;
    const ngx_str_t name = borrowed(name_);

    if (ngx_queue_empty(&clients_)) {
        return; // it waits for its first
    }

    figures::add(figures::lost);

    if (line_permit permit = line.allows(); permit) {
        const ngx_str_t more = permit.left_out();

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "websocket: messages of %s \"%V\" were lost to its "
                      "clients on this worker%V",
                      handler_.name, &name, &more);
    }

    if (handler_.messages_lost != nullptr) {
        handler_.messages_lost(object_);
    } else {
        close_all(protocol::close_code::try_again_later, "messages were lost");
    }
}

} // namespace websocket::nginx
