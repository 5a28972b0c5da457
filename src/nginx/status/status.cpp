// The content handler of websocket_status: sends the statistics of all workers.
#include "nginx/status/status.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/request/refusal.hpp"
#include "nginx/status/page.hpp"
#include "nginx/status/report.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <new>
#include <optional>
#include <string>
#include <string_view>

namespace websocket::nginx {

std::optional<status_form> status_form_named(std::string_view name) noexcept
{
    return name == "json"         ? std::optional(status_form::json)
           : name == "prometheus" ? std::optional(status_form::prometheus)
           : name == "html"       ? std::optional(status_form::html)
                                  : std::nullopt;
}

namespace {

ngx_int_t status_refused(ngx_http_request_t *r, ngx_uint_t status,
                         std::string_view why) noexcept
{
    return reject_request(r, "status request", status, why);
}

// The argument "format" of the request overrides the directive.
std::optional<status_form> requested_form(ngx_http_request_t *r) noexcept
{
    static u_char argument[] = "format";
    const auto &conf = *location_conf<location_configuration>(r);
    ngx_str_t value;

    return ngx_http_arg(r, argument, sizeof argument - 1, &value) == NGX_OK
               ? status_form_named(view(value))
               : static_cast<status_form>(conf.status);
}

ngx_int_t send(ngx_http_request_t *r, std::string_view type,
               std::string_view text) noexcept
{
    auto *copy = static_cast<u_char *>(ngx_pnalloc(r->pool, text.size()));
    ngx_str_t content_type = borrowed(type);
    ngx_http_complex_value_t body{};

    // RFC 9111 5.2.2.5: the statistics change
    if (copy == nullptr || !add_header(r, "Cache-Control", "no-store")) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(copy, text.data(), text.size());
    body.value = {text.size(), copy};
    return ngx_http_send_response(r, NGX_HTTP_OK, &content_type, &body);
}

ngx_int_t send_page(ngx_http_request_t *r)
{
    if (!add_header(r, "Content-Security-Policy", status_page_policy())) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return send(r, "text/html; charset=utf-8", status_page());
}

// Collects a report, in as many turns of the event loop as the resources need,
// and sends it.
class status_job {
public:
    status_job(ngx_http_request_t *r, status_form form)
        : request_{r}, form_{form}, report_{*static_cast<main_configuration *>(
                                        ngx_http_get_module_main_conf(
                                            r, ngx_http_websocket_module))}
    {
        event_.data = this;
        event_.handler = on_step;
        event_.log = r->connection->log;
    }
    ~status_job()
    {
        if (event_.posted) {
            ngx_delete_posted_event(&event_);
        }

        if (event_.timer_set) {
            ngx_del_timer(&event_);
        }
    }
    status_job(const status_job &) = delete;
    status_job &operator=(const status_job &) = delete;

    // Returns what a content handler does.
    ngx_int_t begin()
    {
        if (!report_.collect()) {
            return send_report();
        }

        // A worker that shuts down stays as long as a timer is set
        ngx_add_timer(&event_, max_time);
        ngx_post_event(&event_, &ngx_posted_next_events);
        request_->main->count++;
        return NGX_DONE;
    }

private:
    static constexpr ngx_msec_t max_time = 60'000;

    ngx_int_t send_report()
    {
        return form_ == status_form::json
                   ? send(request_, "application/json", status_as_json(report_))
                   : send(request_, "text/plain; version=0.0.4",
                          status_as_prometheus(report_));
    }

    ngx_int_t step() noexcept
    try {
        if (report_.collect()) {
            ngx_post_event(&event_, &ngx_posted_next_events);
            return NGX_DONE;
        }

        return send_report();

    } catch (const std::bad_alloc &) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    // Finalizing the request destroys the job.
    static void on_step(ngx_event_t *event)
    {
        auto &self = *static_cast<status_job *>(event->data);
        ngx_http_request_t *r = self.request_;
        ngx_connection_t *c = r->connection;
        const ngx_int_t rc = self.step();

        if (rc != NGX_DONE) {
            ngx_http_finalize_request(r, rc);
            ngx_http_run_posted_requests(c);
        }
    }

    ngx_http_request_t *request_;
    status_form form_;
    status_report report_;
    ngx_event_t event_{};
};

void destroy_job(void *data)
{
    static_cast<status_job *>(data)->~status_job();
}

ngx_int_t start_job(ngx_http_request_t *r, status_form form)
{
    ngx_pool_cleanup_t *cleanup =
        ngx_pool_cleanup_add(r->pool, sizeof(status_job));

    if (cleanup == nullptr) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    auto *job = new (cleanup->data) status_job(r, form);

    cleanup->handler = destroy_job;
    return job->begin();
}

ngx_int_t status_method_refused(ngx_http_request_t *r) noexcept
{
    if (!add_header(r, "Allow", "GET, HEAD")) { // RFC 9110 15.5.6
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return status_refused(r, NGX_HTTP_NOT_ALLOWED,
                          "the method is neither GET nor HEAD");
}

} // namespace

ngx_int_t status_handler(ngx_http_request_t *r)
try {
    if ((r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) == 0) {
        return status_method_refused(r);
    }

    const auto form = requested_form(r);

    if (!form) {
        return status_refused(r, NGX_HTTP_BAD_REQUEST,
                              "the format is not json, prometheus or html");
    }

    if (*form == status_form::html) {
        return send_page(r);
    }

    if (!worker_bus::running()) {
        return status_refused(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                              worker_bus::no_slot);
    }

    return start_job(r, *form);

} catch (const std::bad_alloc &) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}

} // namespace websocket::nginx
