// What a handler sends to a client, or the end of its connection, where its
// resource has published something that this worker has yet to deliver.
#include "nginx/session/session.hpp"

#include <memory>

namespace websocket::nginx {

// What waits here is part of the send queue.
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

// As where the queue has no memory for a frame, the connection ends.
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

// Goes on towards the end, with a Close frame that may be empty.
void session::begin_end(const protocol::control_frame &frame,
                        phase next) noexcept
{
    if (phase_ == phase::close_postponed) {
        postponed_phase_ = next;
        return;
    }

    if (phase_ == phase::joining) {
        leave_resource();
    }

    // Also after what was postponed before, where it has not to wait itself
    if (phase_ == phase::open && (must_postpone() || !postponed_.empty()) &&
        resource_->postpone(postponed_send::create_close(frame.bytes()), *this,
                            postponed_)) {
        postponed_phase_ = next;
        enter_phase(phase::close_postponed);
        return;
    }

    write_control(frame);
    enter_phase(next);
}

// What was published before, and is not delivered yet, is not for this client
// any more.
void session::close_immediately(std::uint16_t code, std::string_view reason,
                                close_initiator initiator) noexcept
{
    if (phase_ != phase::open) {
        return;
    }

    postponed_.clear();
    record_end(code, protocol::close_reason(reason), initiator);
    write_control(endpoint_.begin_close(code, reason));
    enter_phase(phase_after_close());
}

} // namespace websocket::nginx
