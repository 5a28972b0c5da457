// Requests of publishers that wait for other hosts or for Redis.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/publish/response.hpp"

#include <cstddef>
#include <memory>
#include <new>

namespace websocket::nginx {

// A waiting request. It may end before the reply: then `r` is null.
struct waiting_request {
    ngx_http_request_t *r;
    ngx_http_cleanup_t *cleanup;
    bool for_user = false; // else for a client
    std::size_t limit = 0; // of a page of users

    static void on_request_end(void *data)
    {
        static_cast<waiting_request *>(data)->r = nullptr;
    }
};

// Null if there is no memory.
inline std::unique_ptr<waiting_request>
create_waiting(ngx_http_request_t *r) noexcept
{
    ngx_http_cleanup_t *cleanup = ngx_http_cleanup_add(r, 0);
    std::unique_ptr<waiting_request> waiting(
        cleanup == nullptr ? nullptr
                           : new (std::nothrow) waiting_request{r, cleanup});

    if (waiting) {
        cleanup->handler = waiting_request::on_request_end;
        cleanup->data = waiting.get();
    }

    return waiting;
}

// From here on the reply owns `waiting`.
inline ngx_int_t wait(std::unique_ptr<waiting_request> waiting) noexcept
{
    ngx_http_request_t *r = waiting.release()->r;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
    r->main->count++;
    return NGX_DONE;
}

inline ngx_int_t
reject_unqueued(std::unique_ptr<waiting_request> waiting) noexcept
{
    waiting->cleanup->handler = nullptr;
    return reject_unreachable(waiting->r);
}

// Finalizes the request with respond(r), unless it has ended.
template <class Answer>
void finish(void *data, Answer respond) noexcept
{
    const std::unique_ptr<waiting_request> waiting(
        static_cast<waiting_request *>(data));
    ngx_http_request_t *r = waiting->r;

    if (r == nullptr) {
        return;
    }

    ngx_connection_t *c = r->connection;

    waiting->cleanup->handler = nullptr;
    ngx_http_finalize_request(r, respond(r));
    ngx_http_run_posted_requests(c);
}

} // namespace websocket::nginx
