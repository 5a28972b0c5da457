// The wait of a handshake: for the leader's word, for the time to be up, or
// for the client to go away.
#include "nginx/upgrade/sync_wait.hpp"

#include "nginx/backplane/backplane.hpp"

#include <new>

namespace websocket::nginx {

namespace {

// In the request's memory.
class handshake_wait final : backplane::sync_waiter {
public:
    handshake_wait(ngx_http_request_t *r, resource &joined,
                   handshake_end end) noexcept
        : request_{r}, joined_{joined}, end_{end}
    {
        waits_for = joined.log_name();
        timer_.data = this;
        timer_.handler = time_is_up;
        timer_.log = r->connection->log;
    }

    bool start(ngx_msec_t time) noexcept
    {
        at_end_ = ngx_http_cleanup_add(request_, 0);

        if (at_end_ == nullptr || !backplane::wait_for_sync(*this)) {
            return false;
        }

        at_end_->handler = request_ends;
        at_end_->data = this;
        ngx_add_timer(&timer_, time);
        return true;
    }

private:
    void synced() noexcept override { finish(true); }

    static void time_is_up(ngx_event_t *event)
    {
        static_cast<handshake_wait *>(event->data)->finish(false);
    }

    static void request_ends(void *data)
    {
        auto &own = *static_cast<handshake_wait *>(data);

        own.stop();
        own.joined_.end_waiting();
    }

    void stop() noexcept
    {
        at_end_->handler = nullptr;
        backplane::forget(*this);

        if (timer_.timer_set) {
            ngx_del_timer(&timer_);
        }
    }

    // The request may be gone afterwards, and this with it.
    void finish(bool in_sync) noexcept
    {
        resource &joined = joined_;
        ngx_connection_t *c = request_->connection;

        stop();
        end_(request_, joined, in_sync);
        joined.end_waiting();
        ngx_http_run_posted_requests(c);
    }

    ngx_http_request_t *request_;
    resource &joined_;
    handshake_end end_;
    ngx_event_t timer_{};
    ngx_http_cleanup_t *at_end_ = nullptr;
};

} // namespace

ngx_int_t wait_for_hosts(ngx_http_request_t *r, resource &joined,
                         handshake_end end) noexcept
{
    void *place = ngx_palloc(r->pool, sizeof(handshake_wait));

    if (place == nullptr || !(::new (place) handshake_wait(r, joined, end))
                                 ->start(backplane::handshake_time())) {
        joined.end_waiting();
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
    r->main->count++;
    return NGX_DONE;
}

} // namespace websocket::nginx
