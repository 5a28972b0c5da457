// Rejects handshakes, each with a status, header fields and a log line.
#include "nginx/request/refusal.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/workers/counters.hpp"

#include <algorithm>

namespace websocket::nginx {

namespace {

bool has_error_page(ngx_http_request_t *r, ngx_uint_t status) noexcept
{
    auto *clcf = static_cast<ngx_http_core_loc_conf_t *>(
        ngx_http_get_module_loc_conf(r, ngx_http_core_module));

    if (clcf->error_pages == nullptr || r->error_page) {
        return false;
    }

    const std::span pages{
        static_cast<ngx_http_err_page_t *>(clcf->error_pages->elts),
        clcf->error_pages->nelts};

    return std::any_of(pages.begin(), pages.end(), [&](const auto &page) {
        return page.status == static_cast<ngx_int_t>(status);
    });
}

// nginx has neither a phrase nor a page for 426.
ngx_int_t send_upgrade_required(ngx_http_request_t *r) noexcept
{
    ngx_str_t type = ngx_string("text/plain");
    ngx_http_complex_value_t body{};

    ngx_str_set(&r->headers_out.status_line, "426 Upgrade Required");

    if (location_conf<location_configuration>(r)->streams_events) {
        ngx_str_set(&body.value,
                    "This location answers WebSocket clients (HTTP/1.1, RFC "
                    "6455) and requests for text/event-stream only.\n");
    } else {
        ngx_str_set(&body.value, "This location answers WebSocket clients only "
                                 "(HTTP/1.1, RFC 6455).\n");
    }

    return ngx_http_send_response(r, upgrade_required, &type, &body);
}

} // namespace

bool add_header(ngx_http_request_t *r, std::string_view name,
                std::string_view value) noexcept
{
    auto *header =
        static_cast<ngx_table_elt_t *>(ngx_list_push(&r->headers_out.headers));

    if (header == nullptr) {
        return false;
    }

    *header = {};
    header->hash = 1;
    header->key = borrowed(name);
    header->value = borrowed(value);
    return true;
}

ngx_int_t reject_handshake(ngx_http_request_t *r, ngx_uint_t status,
                           std::string_view why) noexcept
{
    counters::handshake_refused(status);

    write_log(NGX_LOG_INFO, r->connection->log,
              "websocket: handshake refused with %ui: %V", status,
              unquoted{why});

    if (status == upgrade_required && !has_error_page(r, status)) {
        return send_upgrade_required(r);
    }

    return static_cast<ngx_int_t>(status);
}

ngx_int_t reject_handshake(ngx_http_request_t *r,
                           protocol::handshake_error reason) noexcept
{
    const ngx_uint_t status = protocol::http_status(reason);
    bool added = true;

    if (status == NGX_HTTP_NOT_ALLOWED) {
        added = add_header(r, "Allow", "GET"); // RFC 9110 15.5.6

    } else if (status == upgrade_required) {
        added = add_header(r, "Upgrade", "websocket") && // RFC 9110 15.5.22
                add_header(r, "Connection", "Upgrade");  // and 7.8
    }

    if (protocol::asks_for_version(reason)) {
        added = added && add_header(r, "Sec-WebSocket-Version", "13");
    }

    return added ? reject_handshake(r, status, protocol::describe(reason))
                 : NGX_HTTP_INTERNAL_SERVER_ERROR;
}

ngx_int_t reject_request(ngx_http_request_t *r, std::string_view kind,
                         ngx_uint_t status, std::string_view why) noexcept
{
    write_log(NGX_LOG_INFO, r->connection->log,
              "websocket: %V refused with %ui: %V", kind, status,
              unquoted{why});
    return static_cast<ngx_int_t>(status);
}

} // namespace websocket::nginx
