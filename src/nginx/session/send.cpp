// Sends messages of handlers to a client: validates, compresses and counts
// them, and rejects them if the send queue is full.
#include "nginx/session/session.hpp"

#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/session/worker.hpp"
#include "nginx/workers/counters.hpp"
#include "protocol/frames/close_code.hpp"
#include "protocol/text/utf8.hpp"

#include <algorithm>
#include <memory>

namespace websocket::nginx {

namespace {

constexpr std::size_t max_backpressure_threshold = 64 * 1024;

// Throttled, because a client may cause this line as often as it sends.
[[gnu::cold, gnu::noinline]] void log_not_utf8(ngx_log_t *log) noexcept
{
    static log_throttle line;

    if (log_permit permit = line.allows(); permit) {
        write_log(NGX_LOG_INFO, log,
                  "websocket: message not sent: text is not valid UTF-8%V",
                  permit.suppressed());
    }
}

} // namespace

// An empty queue accepts one message of any size.
inline int session::check_can_send() noexcept
{
    return phase_ == phase::open && writer_.empty() ? WEBSOCKET_QUEUED
                                                    : check_send_queue();
}

inline int session::finish_send(bool written, std::size_t size) noexcept
{
    if (!in_turn_) {
        flush_later();
    }

    if (!written) {
        return WEBSOCKET_CLOSED; // the next flush() ends the session
    }

    counters_.messages_out++;
    counters_.bytes_out += size;
    counters::message_out(size);

    return (!writer_.empty() || resource::history_budget_spent) &&
                   has_backpressure()
               ? WEBSOCKET_BACKPRESSURE
               : WEBSOCKET_QUEUED;
}

int session::send_message(protocol::opcode kind,
                          std::span<const std::byte> payload) noexcept
{
    if (const int refusal = check_can_send(); refusal != WEBSOCKET_QUEUED) {
        return refusal;
    }

    if (kind == protocol::opcode::text && !is_valid_text(payload)) {
        log_not_utf8(connection_->log);
        return WEBSOCKET_INVALID;
    }

    return send_now(kind, payload);
}

inline int session::send_now(protocol::opcode kind,
                             std::span<const std::byte> payload) noexcept
{
    return negotiated_.plain_frames()
               ? finish_send(writer_.write_message(kind, payload),
                             payload.size())
               : send_encoded(kind, payload);
}

// Kept out of line, so that uncompressed messages do not pay for its stack
// frame.
[[gnu::noinline]] int
session::send_encoded(protocol::opcode kind,
                      std::span<const std::byte> payload) noexcept
{
    if (negotiated_.event_stream) {
        return finish_send(writer_.write_unframed(payload), payload.size());
    }

    const auto frame = should_compress(payload.size())
                           ? compress(kind, payload)
                           : protocol::shared_buffer{};

    return finish_send(frame ? writer_.write_shared({frame, frame.bytes()})
                             : writer_.write_message(kind, payload),
                       payload.size());
}

// Text that is sent back was already validated when it was received.
inline bool
session::is_valid_text(std::span<const std::byte> payload) const noexcept
{
    return writer_.is_received_text(payload) ||
           protocol::is_valid_utf8(payload);
}

void session::send_postponed() noexcept
{
    postponed_send *next = postponed_.first();

    if (next->is_close()) {
        if (phase_ == phase::close_postponed) {
            (void)writer_.write_bytes(next->bytes());
            enter_phase(postponed_phase_);
        }

    } else if (phase_ == phase::open || phase_ == phase::close_postponed) {
        if (next->frame() != nullptr) {
            (void)send_now(*next->frame());
        } else {
            (void)send_now(next->kind(), next->bytes());
        }
    }

    postponed_.remove(next);
    // A flush may not notice that compression left the queue short enough
    resume_read();
}

int session::postpone_message(protocol::opcode kind,
                              std::span<const std::byte> payload) noexcept
{
    if (const int refusal = check_can_postpone(); refusal != WEBSOCKET_QUEUED) {
        return refusal;
    }

    if (kind == protocol::opcode::text && !protocol::is_valid_utf8(payload)) {
        log_not_utf8(connection_->log);
        return WEBSOCKET_INVALID;
    }

    return postpone(postponed_send::create_message(kind, payload));
}

int session::send_shared(const shared_frame &frame) noexcept
{
    if (const int refusal = check_can_send(); refusal != WEBSOCKET_QUEUED) {
        return refusal;
    }

    return send_now(frame);
}

inline int session::send_now(const shared_frame &frame) noexcept
{
    const std::size_t size = frame.payload().size();

    if (negotiated_.event_stream) {
        return finish_send(
            writer_.write_shared({frame.whole().holder, frame.payload()}),
            size);
    }

    if (should_compress(size)) {
        if (const auto compressed = compress(frame); compressed) {
            return finish_send(
                writer_.write_shared({compressed, compressed.bytes()}), size);
        }
    }

    return finish_send(writer_.write_shared(frame.whole()), size);
}

// A client whose Close was postponed still receives messages delivered before
// it.
bool session::accepts_deliveries() const noexcept
{
    return phase_ == phase::open ||
           (phase_ == phase::close_postponed && resource_->delivering());
}

// Input is processed while the queue is at most half full, see receiving(). The
// largest message may be read together with others, and their replies must fit
// in.
std::size_t session::queue_limit() const noexcept
{
    return conf_.send_queue + (in_turn_ ? conf_.max_message_size : 0);
}

int session::check_send_queue() noexcept
{
    if (!accepts_deliveries()) {
        return WEBSOCKET_CLOSED;
    }

    const std::size_t limit = queue_limit();

    // Many messages may have been published at once, before the socket was
    // tried
    if (writer_.queue_cost() >= limit && !in_turn_ &&
        connection_->write->ready) {
        if (writer_.flush() == NGX_ERROR) {
            flush_later();
            return WEBSOCKET_CLOSED; // the next flush() ends the session
        }

        resume_read(); // reading may have been paused meanwhile
    }

    return writer_.queue_cost() >= limit ? reject_for_full_queue()
                                         : WEBSOCKET_QUEUED;
}

std::size_t session::backpressure_threshold() const noexcept
{
    return std::min(conf_.send_queue / 2, max_backpressure_threshold);
}

// True if the handler should wait for client_drained(). Frames sent outside of
// the client's own turn wait for the end of the event anyway, so only a long
// queue counts there. Reading much of a history counts too, even if the client
// was sent all of it.
bool session::has_backpressure() noexcept
{
    const bool much_read = resource::history_budget_spent;

    backpressured_ =
        backpressured_ || much_read ||
        (!writer_.empty() &&
         (in_turn_ || writer_.queue_cost() >= backpressure_threshold()));

    return backpressured_ && (much_read || !writer_.empty());
}

int session::send_ping(std::span<const std::byte> payload) noexcept
{
    if (phase_ != phase::open) {
        return WEBSOCKET_CLOSED;
    }

    if (writer_.queue_cost() >= conf_.send_queue) {
        return WEBSOCKET_DROPPED;
    }

    if (!in_turn_) {
        flush_later();
    }

    write_ping(payload);
    return has_backpressure() ? WEBSOCKET_BACKPRESSURE : WEBSOCKET_QUEUED;
}

// After a postponed Close there is no client_drained() to report a gap. So a
// full queue ends the deliveries then, whatever the policy is.
int session::reject_for_full_queue() noexcept
{
    counters_.dropped++;
    counters::add(counters::dropped);

    const bool drops =
        conf_.full_policy == static_cast<ngx_uint_t>(full_queue_policy::drop);

    if (drops && phase_ == phase::open) {
        backpressured_ = true; // client_drained() follows

        if (counters_.dropped == 1) {
            write_log(NGX_LOG_INFO, connection_->log,
                      "websocket: send queue is full, dropping messages");
        }
        return WEBSOCKET_DROPPED;
    }

    // Frames that are not partially sent would only delay the Close
    const std::uint64_t discarded = drops ? 0 : writer_.drop_unsent();

    counters_.dropped += discarded;
    counters::add(counters::dropped, discarded);
    counters::add(counters::slow_closes);

    if (phase_ == phase::close_postponed) {
        write_log(NGX_LOG_INFO, connection_->log,
                  "websocket: send queue is full before the Close, which is "
                  "sent with 1013 instead of %ui",
                  static_cast<ngx_uint_t>(closed_.code()));
    }

    close_immediately(protocol::close_code::try_again_later,
                      "send queue is full", close_initiator::server);
    return WEBSOCKET_CLOSED;
}

// Postponed sends count toward the limit of the send queue.
int session::check_can_postpone() noexcept
{
    if (phase_ != phase::open) {
        return WEBSOCKET_CLOSED;
    }

    return queue_cost() >= queue_limit() ? reject_for_full_queue()
                                         : WEBSOCKET_QUEUED;
}

int session::postpone_frame(
    const std::shared_ptr<const shared_frame> &frame) noexcept
{
    if (const int refusal = check_can_postpone(); refusal != WEBSOCKET_QUEUED) {
        return refusal;
    }

    return postpone(postponed_send::create_shared(frame));
}

// Without memory the connection ends, as it does if the send queue has no
// memory.
int session::postpone(postponed_send *what) noexcept
{
    if (!resource_->postpone(what, *this, postponed_)) {
        on_connection_error();
        flush_later();
        return WEBSOCKET_CLOSED;
    }

    backpressured_ = backpressured_ || resource::history_budget_spent ||
                     queue_cost() >= backpressure_threshold();
    return backpressured_ ? WEBSOCKET_BACKPRESSURE : WEBSOCKET_QUEUED;
}

void session::send_all_postponed() noexcept
{
    while (!postponed_.empty()) {
        send_postponed();
    }
}

} // namespace websocket::nginx
