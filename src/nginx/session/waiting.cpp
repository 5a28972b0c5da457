// The functions of a session that waits for Redis, at most for the time of
// `wait=`.
#include "nginx/session/session_wait.hpp"

#include "nginx/output/transport.hpp"
#include "nginx/session/session.hpp"
#include "nginx/session/worker.hpp"
#include "nginx/workers/counters.hpp"
#include "protocol/frames/close_code.hpp"

#include <utility>

namespace websocket::nginx {

namespace {

// Bytes of messages that are kept for a client that waits.
constexpr std::size_t max_kept = 4096;

// As transport::receive(), but leaves the input.
ssize_t probe(const ngx_connection_t &c) noexcept
{
    char input;
    const ssize_t size = recv(c.fd, &input, 1, MSG_PEEK);

    return size >= 0 ? size
           : ngx_socket_errno == NGX_EAGAIN || ngx_socket_errno == NGX_EINTR
               ? NGX_AGAIN
               : NGX_ERROR;
}

} // namespace

void session_wait::on_hosts_synced() noexcept
{
    session_.on_hosts_synced();
}

void session_wait::on_hosts_timeout() noexcept
{
    session_.on_hosts_timeout();
}

void session::wait_for_hosts() noexcept
{
    const ngx_msec_t time = backplane::accepted_timeout();

    if (!closed_.empty()) {
        join(); // closes
        return;
    }

    if (!request_part_->wait->start(time)) {
        close(protocol::close_code::try_again_later, "no memory",
              close_initiator::server);
        return;
    }

    read_waiting_client();
}

// Reads a few bytes of a client that waits, and answers its control frames.
// Messages are kept, and so is the end of the input behind them. Without them,
// the session of a client that has gone ends.
void session::read_waiting_client() noexcept
{
    turn &present = this_worker().current_turn;

    if (negotiated_.event_stream) {
        read_event_client();
        flush(); // the rest of the header
        return;
    }

    if (!rest_) {
        ngx_buf_t *pipelined = request()->header_in;
        const auto input = bytes_between(pipelined->pos, pipelined->last);

        rest_ = protocol::shared_buffer::allocate(input.size() + max_kept);

        if (!rest_) {
            on_connection_error();
            return;
        }

        rest_.append(input);
        pipelined->pos = pipelined->last;
    }

    present.begin();
    in_turn_ = true;
    answer_control_frames();

    while (phase_ == phase::joining && connection_->read->ready &&
           queue_cost() < conf_.send_queue / 2) {
        const std::span unused{rest_.data() + rest_.size(),
                               rest_.capacity() - rest_.size()};
        const ssize_t received =
            unused.empty() ? probe(*connection_)
                           : transport::receive(connection_, unused, present);

        if (received == NGX_ERROR || (received == 0 && rest_.size() == 0)) {
            on_connection_error();
            break;
        }

        if (received == NGX_AGAIN) {
            break;
        }

        if (received == 0 || unused.empty()) {
            connection_->read->ready = 1; // read again after joining
            break;
        }

        rest_.extend(static_cast<std::size_t>(received));
        answer_control_frames();

        if (present.over()) {
            ngx_post_event(connection_->read, &ngx_posted_next_events);
            break;
        }
    }

    in_turn_ = false;
    flush(); // also the rest of the 101

    if (rest_.size() == 0) {
        rest_.reset();
    }
}

void session::on_hosts_synced() noexcept
{
    std::uint64_t position = 0;

    if (phase_ == phase::joining) {
        const broker::outcome result = resource_->reserve_client(
            *conf_.terms, static_cast<std::uint32_t>(conf_.max_clients),
            position);

        if (result == broker::outcome::done) {
            end_waiting(*resource_);
            request_part_->join_position = position;
            last_received_ = timestamp(ngx_current_msec); // it was not pinged
            join();
        } else {
            close(protocol::close_code::try_again_later,
                  result == broker::outcome::full
                      ? "websocket_max_clients reached"
                      : "no memory",
                  close_initiator::server);
        }
    }

    rearm_or_finish();
}

void session::on_hosts_timeout() noexcept
{
    close(protocol::close_code::try_again_later,
          "not in sync with the other hosts: Redis is unreachable or too slow",
          close_initiator::timeout);
    rearm_or_finish();
}

void session::end_waiting(resource &left) noexcept
{
    std::exchange(request_part_->wait, nullptr)->stop();
    left.end_waiting();
}

} // namespace websocket::nginx
