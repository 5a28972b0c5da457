// What a session receives: bytes into events, events into calls of the
// resource handler.
#include "nginx/session/session.hpp"

#include "nginx/session/worker.hpp"
#include "nginx/workers/counters.hpp"
#include "protocol/close_code.hpp"

namespace websocket::nginx {

namespace {

int kind_of(protocol::opcode code) noexcept
{
    return code == protocol::opcode::text ? WEBSOCKET_TEXT : WEBSOCKET_BINARY;
}

} // namespace

// Takes input until the turn is over, and returns the rest. Messages are
// counted for all workers once for all that a read brought.
std::span<std::byte> session::process(std::span<std::byte> input) noexcept
{
    const std::uint64_t messages_before = counters_.messages_in;
    const std::uint64_t bytes_before = counters_.bytes_in;
    const std::span<std::byte> rest = process_frames(input);

    counters::received(counters_.messages_in - messages_before,
                       counters_.bytes_in - bytes_before);
    return rest;
}

inline bool session::accepts_frames() const noexcept
{
    return (phase_ == phase::open || phase_ == phase::closing ||
            phase_ == phase::close_postponed) &&
           !endpoint_.finished_reading();
}

inline std::span<std::byte>
session::process_frames(std::span<std::byte> input) noexcept
{
    while (accepts_frames()) {
        if (!process_whole_messages(input)) {
            const std::size_t size_before = input.size();
            const protocol::event received = endpoint_.next(input);

            if (received.type == protocol::event_type::need_input) {
                return {};
            }

            // What is inflated costs more than what comes of it
            this_worker().current_turn.spend(
                size_before - input.size() + turn::message_cost +
                (endpoint_.inflates() ? turn::unit : 0));
            dispatch(received);
        }

        if (input.empty()) {
            if (endpoint_.needs_input()) {
                return {};
            }
            // Else there is something to do without input, and none may come:
            // an empty frame ends, text is refused, a message is given back

        } else if (this_worker().current_turn.over() && accepts_frames()) {
            return input;
        }
    }

    // A client that sends on after its Close may have more under way
    sends_after_close_ = sends_after_close_ || !input.empty();

    return {};
}

// Most of what comes is whole messages, one behind the other: they go to the
// handler without becoming events. False if there was none.
inline bool
session::process_whole_messages(std::span<std::byte> &input) noexcept
{
    // Where replies are compressed, each one may be the last of the turn
    const std::size_t max_work = negotiated_.deflate.agreed ? 0 : turn::unit;
    std::size_t work = 0;

    if (!endpoint_.between_messages()) {
        return false;
    }

    while (phase_ == phase::open && work <= max_work) {
        const protocol::whole_frame message = endpoint_.next_whole(input);

        if (message.header_size == 0) {
            break;
        }

        work += message.payload.size() + turn::message_cost;
        dispatch_message(message.kind, {.bytes = message.payload,
                                        .headroom = message.header_size});

        if (has_published_) {
            break; // it may have ended the turn
        }
    }

    this_worker().current_turn.spend(work);
    return work != 0;
}

inline void session::dispatch(const protocol::event &received) noexcept
{
    using protocol::event_type;

    const bool close_was_sent = endpoint_.close_sent();

    switch (received.type) {
    case event_type::frame:
        if (!received.first || check_rate_limit()) {
            check_message(received);
        }
        return;

    case event_type::message: {
        const protocol::shared_buffer &assembled = endpoint_.assembled();

        dispatch_message(received.kind,
                         {.bytes = received.payload,
                          .holder = assembled ? &assembled : nullptr,
                          .headroom = received.room_before});
        return;
    }

    case event_type::ping:
        if (check_rate_limit()) {
            write_control(endpoint_.answer(received));
        }
        return;

    case event_type::close:
        if (!close_was_sent) {
            record_end(received.code, as_text(received.payload),
                       close_initiator::client);
        }
        begin_end(endpoint_.answer(received), phase::flushing);
        return;

    case event_type::failed:
        fail(received);
        return;

    case event_type::pong:
        if (is_solicited_pong() || check_rate_limit()) {
            dispatch_pong(received);
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
inline bool session::check_rate_limit() noexcept
{
    if (conf_.limit_messages == nullptr ||
        rate_limiter_.take(*conf_.limit_messages, ngx_current_msec)) {
        return true;
    }

    constexpr std::uint16_t code = protocol::close_code::policy_violation;
    constexpr std::string_view reason =
        "more messages than websocket_limit_messages allows";

    record_end(code, reason, close_initiator::server);
    // A flood is not read for the Close in it
    begin_end(endpoint_.begin_close(code, reason), phase::flushing);
    return false;
}

// Each Ping of ours makes room for one Pong.
inline bool session::is_solicited_pong() noexcept
{
    if (unanswered_pings_ == 0) {
        return false;
    }

    unanswered_pings_--;
    return true;
}

// What a handler's callback returns, where it can fail: the handler has said
// in the log why.
void session::close_if_failed(int outcome) noexcept
{
    if (outcome != 0) {
        close(protocol::close_code::internal_error, "handler failed",
              close_initiator::error);
    }
}

// Reported where the handler checks messages, or they are counted.
void session::check_message(const protocol::event &frame) noexcept
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
              "message refused", close_initiator::server);
    }
}

void session::dispatch_pong(const protocol::event &received) noexcept
{
    if (handler().pong_received != nullptr) {
        close_if_failed(handler().pong_received(resource_->object(), client_,
                                                received.payload.data(),
                                                received.payload.size()));
    }
}

inline void session::dispatch_message(protocol::opcode kind,
                                      const payload_ref &payload) noexcept
{
    const websocket_handler_t &callbacks = handler();
    const std::uint64_t published = resource::publications;

    counters_.messages_in++;
    counters_.bytes_in += payload.bytes.size();

    if (callbacks.message_received == nullptr) {
        close(protocol::close_code::unsupported_data,
              "no messages are taken here", close_initiator::server);
        return;
    }

    // The handler may send this very payload back
    writer_.begin_message(payload, kind);
    close_if_failed(
        callbacks.message_received(resource_->object(), client_, kind_of(kind),
                                   payload.bytes.data(), payload.bytes.size()));
    writer_.end_message();

    if (resource::publications != published) {
        note_publication();
    }
}

// What is published beyond that would push out what others have published.
[[gnu::noinline]] void session::note_publication() noexcept
{
    has_published_ = true;

    if (phase_ == phase::open && publishing_congested()) {
        this_worker().current_turn.end();
    }
}

// What is queued still goes to a peer that has only ended its own side.
void session::on_eof(bool broken) noexcept
{
    peer_finished_ = true;

    if (broken) {
        on_connection_error();
        return;
    }

    record_end(protocol::close_code::abnormal, "", close_initiator::client);
    begin_end({}, phase::flushing);
}

} // namespace websocket::nginx
