// Ends a session: detaches it from its resource, its connection and its
// request.
#include "nginx/session/session.hpp"

#include "nginx/core/log_line.hpp"
#include "nginx/resource/subscription_set.hpp"
#include "nginx/session/worker.hpp"
#include "nginx/workers/counters.hpp"
#include "protocol/frames/close_code.hpp"

#include <cstdint>
#include <string_view>
#include <utility>

namespace websocket::nginx {

// The client receives a Close frame even if nginx ends the request.
void session::on_request_cleanup(void *data)
{
    auto *self = static_cast<session *>(data);

    if (self->phase_ != phase::created && self->phase_ != phase::ended &&
        self->writer_.body() == nullptr) {
        self->close(protocol::close_code::internal_error,
                    "nginx ended the request", close_initiator::server);
        self->send_close_and_abort();
        self->log_close();
    }

    self->detach();
}

void session::on_pool_cleanup(void *data)
{
    static_cast<session *>(data)->destroy();
}

// Calls client_disconnected() and client_destroyed(), once. The resource may be
// destroyed on return.
void session::leave_resource() noexcept
{
    resource *left = std::exchange(resource_, nullptr);

    if (left == nullptr) {
        return;
    }

    postponed_.clear();
    subscriptions_.reset(); // while the handler's object of the client exists

    if (request_part_ != nullptr && request_part_->wait != nullptr) {
        end_waiting(*left);
    } else if (!listed_) {
        left->cancel_reservation();
    } else if (!client_connected_) {
        left->withdraw_client(*this);
    } else {
        counters::client_disconnected();
        left->remove_client(*this);

        if (on_client_left != nullptr) {
            on_client_left(*this, left->name());
        }

        if (handler().client_disconnected != nullptr) {
            handler().client_disconnected(
                left->object(), client_,
                closed_.empty() ? protocol::close_code::abnormal
                                : closed_.code(),
                {closed_.reason().data(), closed_.reason().size()});
        }
    }

    if (client_ != nullptr && handler().client_destroyed != nullptr) {
        handler().client_destroyed(left->object(), client_);
    }

    client_ = nullptr;
    left->release();
}

void session::detach() noexcept
{
    ngx_connection_t *c = connection_;

    if (request_part_ != nullptr && request_part_->start_event.posted) {
        ngx_delete_posted_event(&request_part_->start_event);
    }

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    this_worker().pending_flushes.remove(flush_index_);
    this_worker().sessions_by_fd.remove(c, *this);
    ngx_queue_remove(&link_);
    ngx_queue_init(&link_);
    phase_ = phase::ended;
    leave_resource();
}

void session::finish() noexcept
{
    ngx_connection_t *c = connection_;
    ngx_http_request_t *r = request();

    log_close();
    detach();

    c->idle = 0;

    if (r == nullptr) {
        finish_without_request();
        return;
    }

    c->read->handler = request_part_->read_handler;
    c->write->handler = request_part_->write_handler;
    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_finalize_request(
        r, writer_.body() == nullptr ? NGX_ERROR : writer_.body()->finish());
    ngx_http_run_posted_requests(c);
}

void session::log_close() noexcept
{
    const ngx_msec_t lasted = ngx_current_msec - started_;

    write_log(NGX_LOG_INFO, connection_->log,
              "websocket: closed by %V, code %ui, reason \"%V\"; in %uL "
              "messages of %uL bytes, out %uL of %uL, dropped %uL, "
              "after %M.%03Ms%V%V%V",
              name_of(closed_.by()), static_cast<ngx_uint_t>(closed_.code()),
              closed_.reason(), counters_.messages_in, counters_.bytes_in,
              counters_.messages_out, counters_.bytes_out, counters_.dropped,
              lasted / 1000, lasted % 1000,
              unquoted{user().empty() ? "" : ", user \""}, user(),
              unquoted{user().empty() ? "" : "\""});
}

} // namespace websocket::nginx
