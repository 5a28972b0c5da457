// Turns received bytes into protocol events, and events into callbacks of the
// resource handler.
#include "nginx/session/session.hpp"

#include "nginx/resource/subscription_set.hpp"
#include "nginx/session/worker.hpp"
#include "nginx/workers/counters.hpp"
#include "protocol/frames/close_code.hpp"

namespace websocket::nginx {

namespace {

int kind_of(protocol::opcode code) noexcept
{
    return code == protocol::opcode::text ? WEBSOCKET_TEXT : WEBSOCKET_BINARY;
}

} // namespace

// Processes input until the turn is over, and returns the rest. The counters
// shared by all workers are updated once per read.
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

            // Inflating costs more than the resulting message
            this_worker().current_turn.spend(
                size_before - input.size() + turn::message_cost +
                (endpoint_.inflates() ? turn::unit : 0));
            dispatch(received);
        }

        if (input.empty()) {
            if (endpoint_.needs_input()) {
                return {};
            }
            // Otherwise an event follows without input, which may never come:
            // the end of an empty frame, invalid text, or a message

        } else if (this_worker().current_turn.over() && accepts_frames()) {
            return input;
        }
    }

    // A client that sends after its Close may have more data in flight
    sends_after_close_ = sends_after_close_ || !input.empty();

    return {};
}

// Dispatches unfragmented messages that are in the buffer as a whole, which
// most are, without creating events. False if there was none.
inline bool
session::process_whole_messages(std::span<std::byte> &input) noexcept
{
    // If replies are compressed, each may use up the turn
    const bool only_one = negotiated_.deflate.agreed;
    turn &current = this_worker().current_turn;
    bool found = false;

    if (!endpoint_.between_messages()) {
        return false;
    }

    while (phase_ == phase::open) {
        const protocol::whole_frame message = endpoint_.next_whole(input);

        if (message.header_size == 0) {
            break;
        }

        found = true;
        current.spend(message.payload.size() + turn::message_cost);
        dispatch_message(message.kind, {.bytes = message.payload,
                                        .headroom = message.header_size});

        // The handler may have spent more
        if (has_published_ || input_held_ || ends_turns_ || only_one ||
            current.unit_spent()) {
            break;
        }
    }

    return found;
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
                          .headroom = received.headroom});
        return;
    }

    case event_type::ping:
        if (check_rate_limit()) {
            write_control(endpoint_.answer(received));
        }
        return;

    case event_type::close:
        if (!close_was_sent) {
            record_close(received.code, as_text(received.payload),
                         close_initiator::client);
        }
        start_closing(endpoint_.answer(received), phase::flushing);
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

// Answers the control frames in the kept input of a client that waits, and
// removes them. A Pong answers nothing: the handler does not know the client.
void session::answer_control_frames() noexcept
{
    std::size_t at = 0;

    while (phase_ == phase::joining) {
        const std::span<std::byte> kept = rest_.bytes().subspan(at);
        const protocol::frame_extent first = protocol::find_extent(kept);

        if (first.header_size == 0 ||
            first.payload_length > kept.size() - first.header_size) {
            return;
        }

        const std::size_t size = first.header_size + first.payload_length;

        if (!protocol::is_control(first.code)) {
            at += size;
            continue;
        }

        std::span<std::byte> input = kept.first(size);

        if (const protocol::event received = endpoint_.next(input);
            received.type != protocol::event_type::pong) {
            dispatch(received);
        }

        this_worker().current_turn.spend(turn::message_cost);
        ngx_memmove(kept.data(), kept.data() + size, kept.size() - size);
        rest_.drop_back(size);
    }
}

// Charges the rate limit at the first frame header, before unmasking or
// inflating, so that excess messages cost nothing more. Further fragments are
// not charged, as they cost the sender as much as the server. A Ping is charged
// for its reply, and an unsolicited Pong for its callback.
inline bool session::check_rate_limit() noexcept
{
    if (conf_.limit_messages == nullptr ||
        rate_limiter_.take(*conf_.limit_messages, ngx_current_msec)) {
        return true;
    }

    constexpr std::uint16_t code = protocol::close_code::policy_violation;
    constexpr std::string_view reason =
        "more messages than websocket_limit_messages allows";

    record_close(code, reason, close_initiator::server);
    // The client's Close is not awaited: it may be after a flood
    start_closing(endpoint_.begin_close(code, reason), phase::flushing);
    return false;
}

// Each Ping that the server sends allows one Pong.
inline bool session::is_solicited_pong() noexcept
{
    if (unanswered_pings_ == 0) {
        return false;
    }

    unanswered_pings_--;
    return true;
}

void session::close_if_failed(int outcome) noexcept
{
    if (outcome != 0) {
        close(protocol::close_code::internal_error, "handler failed",
              close_initiator::error);
    }
}

// Called for each frame header of a message if the handler has check_message().
void session::check_message(const protocol::event &frame) noexcept
{
    if (handler().check_message == nullptr) {
        return;
    }

    const std::uint16_t code = handler().check_message(
        resource_->object(), client_, kind_of(frame.kind),
        frame.fragment_length, frame.total_length);

    if (code != 0) {
        close(protocol::close_code::is_valid_on_wire(code)
                  ? code
                  : protocol::close_code::internal_error,
              "message rejected by the handler", close_initiator::server);
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
              "no messages are accepted here", close_initiator::server);
        return;
    }

    // The handler may send this payload back
    writer_.begin_message(payload, kind);
    close_if_failed(
        callbacks.message_received(resource_->object(), client_, kind_of(kind),
                                   payload.bytes.data(), payload.bytes.size()));
    writer_.end_message();

    if (resource::publications != published) {
        note_publication();
    }

    if (input_held_) {
        this_worker().current_turn.end();
    }
}

// Ends the turn if publishing is congested: further messages would push those
// of other clients out of the memory.
[[gnu::noinline]] void session::note_publication() noexcept
{
    has_published_ = true;

    if (subscriptions_) {
        subscriptions_->note_publication(resource::last_publisher);
    }

    if (phase_ == phase::open && publishing_congested()) {
        this_worker().current_turn.end();
    }
}

void session::end_turn() noexcept
{
    ends_turns_ = true;
    this_worker().current_turn.end();
}

// Frames in the queue are still sent to a peer that has only ended its own
// side.
void session::on_eof(bool broken) noexcept
{
    peer_finished_ = true;

    if (broken) {
        on_connection_error();
        return;
    }

    record_close(protocol::close_code::abnormal, "", close_initiator::client);
    start_closing({}, phase::flushing);
}

} // namespace websocket::nginx
