// Ends the wait of a handshake when the leader reports that the log is in sync,
// at a timeout, or if the client disconnects.
#include "nginx/upgrade/sync_wait.hpp"

#include "nginx/backplane/backplane.hpp"

#include <new>

namespace websocket::nginx {

namespace {

// Allocated in the request's pool.
class handshake_wait final : backplane::sync_waiter {
public:
    handshake_wait(ngx_http_request_t *r, resource &target,
                   sync_callback callback) noexcept
        : request_{r}, target_{target}, callback_{callback}
    {
        resource_name = target.log_name();
        timer_.data = this;
        timer_.handler = on_timeout;
        timer_.log = r->connection->log;
    }

    bool start(ngx_msec_t time) noexcept
    {
        cleanup_ = ngx_http_cleanup_add(request_, 0);

        if (cleanup_ == nullptr || !backplane::wait_for_sync(*this)) {
            return false;
        }

        cleanup_->handler = on_request_cleanup;
        cleanup_->data = this;
        ngx_add_timer(&timer_, time);
        return true;
    }

private:
    void on_synced() noexcept override { finish(true); }

    static void on_timeout(ngx_event_t *event)
    {
        static_cast<handshake_wait *>(event->data)->finish(false);
    }

    static void on_request_cleanup(void *data)
    {
        auto &self = *static_cast<handshake_wait *>(data);

        self.stop();
        self.target_.end_waiting();
    }

    void stop() noexcept
    {
        cleanup_->handler = nullptr;
        backplane::cancel_sync(*this);

        if (timer_.timer_set) {
            ngx_del_timer(&timer_);
        }
    }

    // The request, and this object with it, may be freed on return.
    void finish(bool in_sync) noexcept
    {
        resource &target = target_;
        ngx_connection_t *c = request_->connection;

        stop();
        callback_(request_, target, in_sync);
        target.end_waiting();
        ngx_http_run_posted_requests(c);
    }

    ngx_http_request_t *request_;
    resource &target_;
    sync_callback callback_;
    ngx_event_t timer_{};
    ngx_http_cleanup_t *cleanup_ = nullptr;
};

} // namespace

ngx_int_t wait_for_hosts(ngx_http_request_t *r, resource &target,
                         sync_callback callback) noexcept
{
    void *memory = ngx_palloc(r->pool, sizeof(handshake_wait));

    if (memory == nullptr ||
        !(::new (memory) handshake_wait(r, target, callback))
             ->start(backplane::handshake_timeout())) {
        target.end_waiting();
        return NGX_ERROR;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
    r->main->count++;
    return NGX_DONE;
}

} // namespace websocket::nginx
