// What a session receives: bytes into events, events into calls of the
// resource handler.
#include "nginx/session.hpp"

#include "nginx/backplane.hpp"
#include "nginx/figures.hpp"
#include "nginx/transport.hpp"
#include "nginx/worker.hpp"
#include "protocol/close_code.hpp"

#include <algorithm>

namespace websocket::nginx {

namespace {

// What one session may receive before the others have their turn.
constexpr std::size_t turn_budget = 64 * 1024;

constexpr std::uint64_t large_message = 4096;

constexpr std::size_t beginning_of_message = 16 * 1024;

// What may come from a client after a Close, for example the rest of a message
// that is too big. Reading more is not worth the Close frame after it.
constexpr std::uint32_t max_dropped_input = 64 * 1024 * 1024;

int kind_of(protocol::opcode code) noexcept
{
    return code == protocol::opcode::text ? WEBSOCKET_TEXT : WEBSOCKET_BINARY;
}

} // namespace

// While a client does not read what it has asked for, nothing more is read
// from it: its own requests cannot fill its queue. Nor while what it publishes
// would only wait.
bool session::receiving() const noexcept
{
    if (waiting() >= (conf_.send_queue + 1) / 2) {
        return false;
    }

    return phase_ == phase::open
               ? !publishes_ || !has_to_hold_back()
               : phase_ == phase::closing || phase_ == phase::ending;
}

bool session::has_to_hold_back() const noexcept
{
    return backplane::congested || resource_->congested();
}

void session::read_turn() noexcept
{
    if (phase_ == phase::lingering) {
        discard_input();
        return;
    }

    if (phase_ == phase::arriving) {
        return; // what lies in the request's memory stays there
    }

    std::size_t budget = turn_budget;

    in_turn_ = true;
    output_.begin_turn();

    if (first_turn_) {
        first_turn_ = false;
        take_pipelined();
    }

    while (receiving() && connection_->read->ready && read_once(budget)) {}

    output_.end_turn();
    in_turn_ = false;
    flush();

    if (connection_->read->ready && receiving()) {
        // What it waited for has just left, or it has had its turn: an
        // edge-triggered event would not come again
        ngx_post_event(connection_->read, &ngx_posted_next_events);
    }
}

// Of large messages more is read at once, as a call costs more than a message.
// Their replies may have to wait, all of them. Those that the buffer cannot
// hold are received where they are put together, but for what is read here:
// that is copied, and had better be little.
std::size_t session::read_size() const noexcept
{
    const std::size_t most = this_worker().read_buffer.size();
    const std::uint64_t usual =
        figures_.bytes_in / std::max<std::uint64_t>(figures_.messages_in, 1);

    if (usual >= most) {
        return beginning_of_message;
    }

    return usual < large_message
               ? turn_budget
               : std::clamp(conf_.send_queue / 4, turn_budget, most);
}

// False when the turn is over.
bool session::read_once(std::size_t &budget) noexcept
{
    std::span<std::byte> room = endpoint_.direct_room();

    if (room.empty()) {
        room = std::span(this_worker().read_buffer).first(read_size());
    }

    const ssize_t received = transport::receive(connection_, room);

    if (received == NGX_AGAIN) {
        return false;
    }

    if (received <= 0) {
        peer_vanished(received != 0);
        return false;
    }

    const auto size = static_cast<std::size_t>(received);
    const bool dropping = phase_ == phase::closing || phase_ == phase::ending;

    last_received_ = ngx_current_msec;
    process(room.first(size));
    flush(); // before the buffer is used again

    if (dropping && !drop(size)) {
        return false;
    }

    budget -= std::min(size, budget);
    return budget != 0;
}

// Frames that came in the same packet as the handshake.
void session::take_pipelined() noexcept
{
    ngx_buf_t *header_in = request_->header_in;

    if (header_in->pos != header_in->last) {
        const auto input = bytes_between(header_in->pos, header_in->last);
        header_in->pos = header_in->last;
        process(input);
        flush();
    }
}

// For all workers' eyes messages are counted once for all that a read brought.
void session::process(std::span<std::byte> input) noexcept
{
    const std::uint64_t messages_before = figures_.messages_in;
    const std::uint64_t bytes_before = figures_.bytes_in;

    take_frames(input);
    figures::received(figures_.messages_in - messages_before,
                      figures_.bytes_in - bytes_before);
}

inline void session::take_frames(std::span<std::byte> input) noexcept
{
    while ((phase_ == phase::open || phase_ == phase::closing ||
            phase_ == phase::ending) &&
           !endpoint_.finished_reading()) {
        if (!take_whole_messages(input)) {
            const protocol::event received = endpoint_.next(input);

            if (received.type == protocol::event_type::need_input) {
                return;
            }

            dispatch(received);
        }

        if (input.empty() && endpoint_.needs_input()) {
            return;
        }
    }

    // A client that sends on after its Close may have more under way
    sends_after_close_ = sends_after_close_ || !input.empty();
}

// Most of what comes is whole messages, one behind the other: they go to the
// handler without becoming events. False if there was none.
inline bool session::take_whole_messages(std::span<std::byte> &input) noexcept
{
    bool taken = false;

    if (!endpoint_.between_messages()) {
        return false;
    }

    while (phase_ == phase::open) {
        const protocol::whole_frame message = endpoint_.next_whole(input);

        if (message.header_size == 0) {
            break;
        }

        deliver(message.kind,
                {.bytes = message.payload, .room_before = message.header_size});
        taken = true;
    }

    return taken;
}

inline void session::dispatch(const protocol::event &received) noexcept
{
    using protocol::event_type;

    const bool ours_came_first = endpoint_.close_sent();

    switch (received.type) {
    case event_type::frame:
        if (!received.first || within_rate()) {
            check(received);
        }
        return;

    case event_type::message: {
        const protocol::shared_buffer &assembled = endpoint_.assembled();

        deliver(received.kind, {.bytes = received.payload,
                                .holder = assembled ? &assembled : nullptr,
                                .room_before = received.room_before});
        return;
    }

    case event_type::ping:
        if (within_rate()) {
            write_control(endpoint_.answer(received));
        }
        return;

    case event_type::close:
        if (!ours_came_first) {
            record_end(received.code, as_text(received.payload),
                       ended_by::client);
        }
        begin_end(endpoint_.answer(received), phase::flushing);
        return;

    case event_type::failed:
        fail(received);
        return;

    case event_type::pong:
        if (answers_ping() || within_rate()) {
            pong(received);
        }
        return;

    case event_type::need_input:
    case event_type::unfinished:
        return;
    }
}

// Counts a message when its first frame's header is known: what is too much
// is neither unmasked nor inflated. Fragments cost their sender as much as us;
// a Ping costs an answer, and a Pong that nobody asked for a call.
inline bool session::within_rate() noexcept
{
    if (conf_.limit_messages == nullptr ||
        meter_.take(*conf_.limit_messages, ngx_current_msec)) {
        return true;
    }

    constexpr std::uint16_t code = protocol::close_code::policy_violation;
    constexpr std::string_view reason =
        "more messages than websocket_limit_messages allows";

    record_end(code, reason, ended_by::server);
    // A flood is not read for the Close in it
    begin_end(endpoint_.begin_close(code, reason), phase::flushing);
    return false;
}

// Each Ping of ours makes room for one Pong.
inline bool session::answers_ping() noexcept
{
    if (unanswered_pings_ == 0) {
        return false;
    }

    unanswered_pings_--;
    return true;
}

// What a handler's callback returns, where it can fail: the handler has said
// in the log why.
void session::judge(int outcome) noexcept
{
    if (outcome != 0) {
        close(protocol::close_code::internal_error, "handler failed",
              ended_by::error);
    }
}

// Reported where the handler checks messages, or they are counted.
void session::check(const protocol::event &frame) noexcept
{
    if (handler().check_message == nullptr) {
        return;
    }

    const std::uint16_t code = handler().check_message(
        resource_->object(), client_, kind_of(frame.kind),
        frame.fragment_length, frame.total_length);

    if (code != 0) {
        close(protocol::close_code::may_travel(code)
                  ? code
                  : protocol::close_code::internal_error,
              "message refused", ended_by::server);
    }
}

void session::pong(const protocol::event &received) noexcept
{
    if (handler().pong_received != nullptr) {
        judge(handler().pong_received(resource_->object(), client_,
                                      received.payload.data(),
                                      received.payload.size()));
    }
}

inline void session::deliver(protocol::opcode kind,
                             const stable_bytes &payload) noexcept
{
    const websocket_handler_t &told = handler();
    const std::uint64_t published = resource::publications;

    figures_.messages_in++;
    figures_.bytes_in += payload.bytes.size();

    if (told.message_received == nullptr) {
        close(protocol::close_code::unsupported_data,
              "no messages are taken here", ended_by::server);
        return;
    }

    // The handler may send this very payload back
    output_.begin_message(payload, kind);
    judge(told.message_received(resource_->object(), client_, kind_of(kind),
                                payload.bytes.data(), payload.bytes.size()));
    output_.end_message();

    publishes_ = publishes_ || resource::publications != published;
}

// What is queued still goes to a peer that has only ended its own side.
void session::peer_vanished(bool broken) noexcept
{
    peer_finished_ = true;

    if (broken) {
        connection_broke();
        return;
    }

    record_end(protocol::close_code::abnormal, "", ended_by::client);
    begin_end({}, phase::flushing);
}

void session::discard_input() noexcept
{
    ngx_event_t *rev = connection_->read;
    std::size_t budget = turn_budget;

    while (rev->ready) {
        const ssize_t received =
            transport::receive(connection_, this_worker().read_buffer);

        if (received == NGX_AGAIN) {
            return;
        }

        if (received <= 0) {
            phase_ = phase::ended;
            return;
        }

        const auto size = static_cast<std::size_t>(received);

        if (!drop(size)) {
            return;
        }

        if (size >= budget) {
            ngx_post_event(rev, &ngx_posted_next_events);
            return;
        }

        budget -= size;
    }
}

// The client's Close is awaited where it can come within what is dropped.
session::phase session::phase_after_close() const noexcept
{
    return endpoint_.finished_reading() ||
                   endpoint_.frame_rest() > max_dropped_input
               ? phase::flushing
               : phase::closing;
}

// False when the client sends more than is dropped, which ends the session.
bool session::drop(std::size_t size) noexcept
{
    if (size < max_dropped_input - dropped_input_) {
        dropped_input_ += static_cast<std::uint32_t>(size);
        return true;
    }

    ngx_log_error(NGX_LOG_INFO, connection_->log, 0,
                  "websocket: client sends on after the Close: more than %uD "
                  "bytes were dropped",
                  max_dropped_input);
    phase_ = phase::ended;
    return false;
}

// Overwrites the read buffer: nothing in it may be in use.
bool session::has_unread_input() noexcept
{
    return sends_after_close_ ||
           (connection_->read->ready &&
            transport::receive(connection_, this_worker().read_buffer) > 0);
}

} // namespace websocket::nginx
