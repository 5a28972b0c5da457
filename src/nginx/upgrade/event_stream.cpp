// Recognizes requests for event streams, and sends the header of the response.
#include "nginx/upgrade/event_stream.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/output/event_bytes.hpp"
#include "nginx/request/refusal.hpp"
#include "nginx/session/session.hpp"
#include "protocol/text/tokens.hpp"

#include <string_view>

namespace websocket::nginx {

namespace {

// "*/*" is not enough: a page opened by hand would wait for ever.
bool names_event_stream(std::string_view accepted) noexcept
{
    for (const std::string_view range : protocol::token_list(accepted)) {
        const std::string_view type =
            protocol::trim_white_space(range.substr(0, range.find(';')));

        if (protocol::equals_ignoring_case(type, event_stream_type)) {
            return true;
        }
    }

    return false;
}

} // namespace

bool wants_event_stream(ngx_http_request_t *r) noexcept
{
    bool accepted = false;
    bool upgrades = false;

    if (!location_conf<location_configuration>(r)->streams_events ||
        r->method != NGX_HTTP_GET) {
        return false;
    }

    each_header(r, [&](const ngx_table_elt_t &header) {
        const std::string_view name = view(header.key);

        accepted =
            accepted || (protocol::equals_ignoring_case(name, "Accept") &&
                         names_event_stream(view(header.value)));
        upgrades = upgrades || protocol::equals_ignoring_case(name, "Upgrade");
    });

    return accepted && !upgrades;
}

// Over HTTP/1 the body ends with the connection, and consists of nothing but
// events: it is neither chunked nor compressed, because filters of the body do
// not see it.
ngx_int_t send_event_stream_header(ngx_http_request_t *r) noexcept
{
    const ngx_uint_t version = r->http_version;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_type = borrowed(event_stream_type);
    r->headers_out.content_type_len = event_stream_type.size();
    r->headers_out.content_type_lowcase = nullptr;
    r->disable_not_modified = 1; // conditions, such as If-Match, do not apply

    // Proxies neither store, change nor delay it
    if (!add_header(r, "Cache-Control", "no-store, no-transform") ||
        !add_header(r, "X-Accel-Buffering", "no")) {
        return NGX_ERROR;
    }

    if (session::shares_connection(r)) {
        r->limit_rate = 0; // nginx would delay events by it
        r->limit_rate_set = 1;
        return ngx_http_send_header(r);
    }

    r->keepalive = 0;
    r->header_only = 1; // otherwise nginx delays the header until the body
    r->http_version = NGX_HTTP_VERSION_10; // which has no chunks

    const ngx_int_t rc = ngx_http_send_header(r);

    r->http_version = version;
    return rc;
}

} // namespace websocket::nginx
