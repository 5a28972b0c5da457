// Decides when a session reads and how much. Reading is divided into turns, so
// that the other sessions of the worker are served too. After a Close, input is
// discarded.
#include "nginx/session/session.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/output/transport.hpp"
#include "nginx/resource/subscription_set.hpp"
#include "nginx/session/worker.hpp"

#include <algorithm>

namespace websocket::nginx {

namespace {

// Bytes that one session may receive per turn.
constexpr std::size_t turn_budget = 64 * 1024;

constexpr std::uint64_t large_message = 4096;

constexpr std::size_t small_read_size = 16 * 1024;

constexpr std::size_t max_direct_receive = 1024 * 1024;

// Bytes that are discarded after a Close, for example the rest of a message
// that is too big. Beyond this, the session ends although the client may not
// have read the Close frame.
constexpr std::uint32_t max_dropped_input = 64 * 1024 * 1024;

} // namespace

// Reading pauses while the send queue is half full, so that a client's own
// requests cannot fill it. It also pauses while the resource is congested, even
// for clients that have not published yet: many of them could begin at once.
bool session::receiving() const noexcept
{
    if (queue_cost() >= (conf_.send_queue + 1) / 2) {
        return false;
    }

    return phase_ == phase::open
               ? !input_held_ && !publishing_congested()
               : phase_ == phase::closing || phase_ == phase::close_postponed;
}

bool session::publishing_congested() const noexcept
{
    return resource_->congested() ||
           (subscriptions_ && subscriptions_->congested()) ||
           (has_published_ && backplane::congested);
}

void session::read_turn() noexcept
{
    if (phase_ == phase::lingering) {
        discard_input();
        return;
    }

    if (negotiated_.event_stream) {
        read_event_client();
        return;
    }

    if (phase_ == phase::joining) {
        if (request_part_->wait != nullptr) {
            read_waiting_client();
        }
        return; // other input stays in the request's buffer
    }

    std::size_t budget = turn_budget;

    in_turn_ = true;

    if (negotiated_.deflate.agreed) {
        this_worker().current_turn.begin_with_clock();
    } else {
        this_worker().current_turn.begin();
    }

    writer_.begin_turn();

    if (first_turn_) {
        first_turn_ = false;
        process_pipelined();
    }

    if (rest_) {
        process_rest();
    }

    while (connection_->read->ready && receiving() && !rest_ &&
           read_once(budget)) {}

    if (subscriptions_) {
        subscriptions_->join_new_places();
    }

    // Usually everything was sent during the loop
    const bool done =
        writer_.all_sent() && phase_ == phase::open && !backpressured_;

    writer_.end_turn();
    in_turn_ = false;

    if (!done) {
        flush();
    }

    if (has_input() && receiving()) {
        // Edge-triggered events are not repeated for input that is already
        // there
        ngx_post_event(connection_->read, &ngx_posted_next_events);
    }
}

// Processes input that the last turn left over.
[[gnu::cold, gnu::noinline]] void session::process_rest() noexcept
{
    if (!receiving()) {
        return;
    }

    const std::span<std::byte> rest =
        process(rest_.bytes().subspan(rest_begin_));

    flush(); // before the buffer is freed
    rest_begin_ = static_cast<std::uint32_t>(rest_.size() - rest.size());

    if (rest.empty()) {
        rest_.reset();
    }
}

// When a turn ends, the rest of the input moves to a buffer of the session. It
// is processed before anything else is read.
[[gnu::cold, gnu::noinline]] void
session::copy_rest(std::span<std::byte> rest) noexcept
{
    rest_ = protocol::shared_buffer::allocate(rest.size());
    rest_begin_ = 0;

    if (rest_) {
        rest_.append(rest);
    } else {
        on_connection_error();
    }
}

// If messages are large, more is read at once, because a system call costs more
// than a message. The limit leaves space for the replies in the send queue. A
// message larger than the buffer is received directly into its own memory,
// except the part read here, which is copied and should be small.
std::size_t session::read_size() const noexcept
{
    const std::size_t max_size = this_worker().read_buffer.size();
    const std::uint64_t average =
        counters_.bytes_in / std::max<std::uint64_t>(counters_.messages_in, 1);

    if (average >= max_size || negotiated_.deflate.agreed) {
        return small_read_size; // the inflated size is unknown
    }

    return average < large_message
               ? turn_budget
               : std::clamp(conf_.send_queue / 4, turn_budget, max_size);
}

// False if the turn is over.
bool session::read_once(std::size_t &budget) noexcept
{
    std::span<std::byte> buffer = endpoint_.receive_buffer();

    if (buffer.empty()) {
        buffer = std::span(this_worker().read_buffer).first(read_size());
    } else {
        buffer = buffer.first(std::min(buffer.size(), max_direct_receive));
    }

    const ssize_t received =
        transport::receive(connection_, buffer, this_worker().current_turn);

    if (received == NGX_AGAIN) {
        return false;
    }

    if (received <= 0) {
        on_eof(received != 0);
        return false;
    }

    const auto size = static_cast<std::size_t>(received);
    const bool dropping =
        phase_ == phase::closing || phase_ == phase::close_postponed;

    last_received_ = timestamp(ngx_current_msec);

    const std::span<std::byte> rest = process(buffer.first(size));

    if (!rest.empty()) {
        copy_rest(rest);
    }

    flush(); // before the buffer is reused

    if ((dropping && !count_dropped(size)) || !rest.empty()) {
        return false;
    }

    budget -= std::min(size, budget);
    return budget != 0 && !this_worker().current_turn.over();
}

// Processes frames that arrived in the same packet as the handshake.
void session::process_pipelined() noexcept
{
    ngx_buf_t *header_in = request()->header_in;

    if (header_in->pos != header_in->last) {
        const auto input = bytes_between(header_in->pos, header_in->last);
        header_in->pos = header_in->last;

        const std::span<std::byte> rest = process(input);

        if (!rest.empty()) {
            copy_rest(rest);
        }

        flush();
    }
}

void session::discard_input() noexcept
{
    ngx_event_t *rev = connection_->read;
    std::size_t budget = turn_budget;

    this_worker().current_turn.begin();

    while (rev->ready) {
        const ssize_t received = transport::receive(
            connection_, this_worker().read_buffer, this_worker().current_turn);

        if (received <= 0 && received != NGX_AGAIN) {
            phase_ = phase::ended;
            return;
        }

        const auto size =
            static_cast<std::size_t>(received == NGX_AGAIN ? 0 : received);

        if (!count_dropped(size)) {
            return;
        }

        if (size >= budget || this_worker().current_turn.over()) {
            if (rev->ready) {
                ngx_post_event(rev, &ngx_posted_next_events);
            }
            return;
        }

        budget -= size;
    }
}

// The session waits for the client's Close only if that can arrive within
// max_dropped_input.
session::phase session::phase_after_close() const noexcept
{
    return negotiated_.event_stream || endpoint_.finished_reading() ||
                   endpoint_.frame_rest() > max_dropped_input
               ? phase::flushing
               : phase::closing;
}

// False if the client has sent more than max_dropped_input, which ends the
// session.
bool session::count_dropped(std::size_t size) noexcept
{
    if (size < max_dropped_input - dropped_input_) {
        dropped_input_ += static_cast<std::uint32_t>(size);
        return true;
    }

    write_log(NGX_LOG_INFO, connection_->log,
              "websocket: client keeps sending after the Close: connection "
              "closed after %uD bytes",
              max_dropped_input);
    phase_ = phase::ended;
    return false;
}

// Overwrites the read buffer, which must not be in use.
bool session::has_unread_input() noexcept
{
    return sends_after_close_ ||
           (connection_->read->ready &&
            transport::receive(connection_, this_worker().read_buffer,
                               this_worker().current_turn) > 0);
}

} // namespace websocket::nginx
