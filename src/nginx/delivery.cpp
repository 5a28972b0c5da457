// What resources publish and their clients get: over the broker, so that all
// workers have the same messages in the same order.
#include "nginx/resource.hpp"

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

// The broker cannot take any more: it is said once in a while.
void say_no_room(const resource &of, std::size_t size) noexcept
{
    static said_lately line;

    line_permit permit = line.allows();

    if (!permit) {
        return;
    }

    const ngx_str_t name = borrowed(of.name());
    const ngx_str_t more = permit.left_out();

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "websocket: no room for %uz bytes of %s \"%V\" in "
                  "websocket_shared_memory%V",
                  size, of.handler().name, &name, &more);
}

// A client may bring a handler to it as often as it likes.
void say_not_utf8() noexcept
{
    static said_lately line;

    if (line_permit permit = line.allows(); permit) {
        const ngx_str_t more = permit.left_out();

        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "websocket: not published: text that is not UTF-8%V",
                      &more);
    }
}

} // namespace

// Resources whose last client has gone are not woken by what others publish.
broker::outcome resource::subscribe() noexcept
{
    if (subscription_) {
        return broker::outcome::done;
    }

    const broker::subscribed made = exchange::shared().subscribe(
        exchange::slot(), log_name_, this, history_, exchange::now());

    subscription_ = made.handle;
    return made.result;
}

broker::outcome resource::admit(std::uint32_t max) noexcept
{
    if (!exchange::running()) {
        return broker::outcome::gone;
    }

    if (const auto result = subscribe(); result != broker::outcome::done) {
        if (result == broker::outcome::no_room) {
            say_no_room(*this, 0);
        }
        return result;
    }

    catch_up(); // what came before is not for this client

    const broker::outcome result = exchange::shared().join(subscription_, max);

    if (result == broker::outcome::done) {
        admitted_++;
        arriving_++;
    } else if (admitted_ == 0) {
        exchange::shared().unsubscribe(subscription_, exchange::now());
        subscription_ = {};
    }

    return result;
}

void resource::welcome(session &client) noexcept
{
    ngx_queue_insert_tail(&clients_, client.resource_link());
    arriving_--;
}

void resource::give_up() noexcept
{
    arriving_--;
    dismiss();
    deliver_deferred();
}

void resource::remove(session &client) noexcept
{
    ngx_queue_remove(client.resource_link());
    dismiss();
}

void resource::deliver_deferred() noexcept
{
    if (deferred_ && arriving_ == 0) {
        catch_up();
    }
}

void resource::dismiss() noexcept
{
    exchange::shared().leave(subscription_);

    if (--admitted_ == 0) {
        exchange::shared().unsubscribe(subscription_, exchange::now());
        subscription_ = {};
        unsettled_ = false;
    }
}

std::uint64_t resource::client_count() const noexcept
{
    if (subscription_) {
        return exchange::shared().clients(subscription_);
    }

    return exchange::running() && !checked_only_
               ? exchange::shared().describe(log_name_, exchange::now()).clients
               : 0;
}

int resource::publish(const broker::publication &what,
                      broker::message_id &id) noexcept
{
    if (what.kind == WEBSOCKET_TEXT && !protocol::is_valid_utf8(what.payload)) {
        say_not_utf8();
        return WEBSOCKET_INVALID;
    }

    const broker::appended done = append(what);

    id = done.id;
    return done.result == broker::outcome::done ? WEBSOCKET_QUEUED
                                                : WEBSOCKET_DROPPED;
}

broker::appended resource::append(const broker::publication &what) noexcept
{
    if (checked_only_ || !exchange::running()) {
        return {};
    }

    const broker::appended done =
        subscription_
            ? exchange::shared().append(subscription_, what, exchange::now())
            : exchange::shared().append(log_name_, what, history_,
                                        exchange::now());

    if (done.result != broker::outcome::done) {
        say_no_room(*this, what.payload.size());
        return done;
    }

    unsettled_ = static_cast<bool>(subscription_);
    exchange::wake(done.wake);
    return done;
}

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
