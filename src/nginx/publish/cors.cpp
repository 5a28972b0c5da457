// Preflights and response header fields of CORS
// (https://fetch.spec.whatwg.org/#http-cors-protocol).
#include "nginx/publish/cors.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/publish/response.hpp"
#include "nginx/request/origin_check.hpp"
#include "nginx/request/refusal.hpp"
#include "protocol/text/tokens.hpp"

#include <optional>
#include <string_view>

namespace websocket::nginx {

namespace {

constexpr std::string_view allow_origin = "Access-Control-Allow-Origin";
constexpr std::string_view methods = "GET, POST, DELETE";
constexpr std::string_view stream_methods = "GET, POST";
constexpr std::string_view max_age_seconds = "600";

ngx_http_output_header_filter_pt next_header_filter;

// Null if absent.
const ngx_table_elt_t *find_header(const ngx_list_t &headers,
                                   std::string_view name) noexcept
{
    const ngx_table_elt_t *found = nullptr;

    each_header(headers, [&](const ngx_table_elt_t &header) {
        if (header.hash != 0 &&
            protocol::equals_ignoring_case(view(header.key), name)) {
            found = &header;
        }
    });

    return found;
}

bool is_preflight(const ngx_http_request_t *r) noexcept
{
    return r->method == NGX_HTTP_OPTIONS &&
           find_header(r->headers_in.headers,
                       "Access-Control-Request-Method") != nullptr;
}

/*
 * The location
 */

// Marks a request whose response may come from another location: an error page.
void on_request_end(void *)
{}

bool remember_location(ngx_http_request_t *r,
                       const location_configuration &conf) noexcept
{
    ngx_pool_cleanup_t *mark = ngx_pool_cleanup_add(r->pool, 0);

    if (mark == nullptr) {
        return false;
    }

    mark->handler = on_request_end;
    mark->data = const_cast<location_configuration *>(&conf);
    return true;
}

// Pages of other origins may use it.
bool is_for_pages(const location_configuration &conf) noexcept
{
    return conf.publishes || conf.streams_events;
}

// The location for pages that the request came to, or null.
const location_configuration *
publishing_location(ngx_http_request_t *r) noexcept
{
    const auto *conf = location_conf<location_configuration>(r);

    if (is_for_pages(*conf)) {
        return conf;
    }

    if (r->err_status == 0) {
        return nullptr;
    }

    for (auto *at = r->pool->cleanup; at != nullptr; at = at->next) {
        if (at->handler == on_request_end) {
            return static_cast<const location_configuration *>(at->data);
        }
    }

    return nullptr;
}

/*
 * The response
 */

// Allows every header field, such as Authorization: the page may send the
// visitor's credentials anyway.
bool allow_requested_headers(ngx_http_request_t *r) noexcept
{
    const ngx_table_elt_t *requested =
        find_header(r->headers_in.headers, "Access-Control-Request-Headers");

    if (requested == nullptr) {
        return true;
    }

    for (const std::string_view name :
         protocol::token_list(view(requested->value))) {
        if (!protocol::is_token(name)) {
            return true;
        }
    }

    return add_header(r, "Access-Control-Allow-Headers",
                      view(requested->value));
}

bool add_preflight_fields(ngx_http_request_t *r,
                          const location_configuration &conf) noexcept
{
    return add_header(r, "Access-Control-Allow-Methods",
                      conf.publishes ? methods : stream_methods) &&
           add_header(r, "Access-Control-Max-Age", max_age_seconds) &&
           allow_requested_headers(r);
}

// Allows credentials only for origins that the configuration names: any site
// can send the origin "null", and `any` allows all.
bool allow_origin_of_page(ngx_http_request_t *r,
                          const location_configuration &conf,
                          std::string_view origin) noexcept
{
    if (conf.any_origin) {
        return add_header(r, allow_origin, "*");
    }

    return add_header(r, allow_origin, origin) &&
           (origin == "null" ||
            add_header(r, "Access-Control-Allow-Credentials", "true"));
}

// Returns false if there is no memory.
bool add_fields(ngx_http_request_t *r,
                const location_configuration &conf) noexcept
{
    const request_origin origin = find_origin(r);

    if (find_header(r->headers_out.headers, allow_origin) != nullptr) {
        return true; // added by the configuration
    }

    if (!conf.any_origin && !add_header(r, "Vary", "Origin")) {
        return false;
    }

    if (!origin.given || !origin_allowed(r, conf, origin)) {
        return true;
    }

    return allow_origin_of_page(r, conf, origin.text) &&
           (!is_preflight(r) || add_preflight_fields(r, conf));
}

ngx_int_t header_filter(ngx_http_request_t *r)
{
    const location_configuration *conf =
        r == r->main ? publishing_location(r) : nullptr;

    return conf == nullptr || add_fields(r, *conf) ? next_header_filter(r)
                                                   : NGX_ERROR;
}

ngx_int_t preaccess_handler(ngx_http_request_t *r)
{
    const auto &conf = *location_conf<location_configuration>(r);

    if (!is_for_pages(conf) || r != r->main) {
        return NGX_DECLINED;
    }

    const request_origin origin = find_origin(r);

    if (!origin.given) {
        return NGX_DECLINED;
    }

    if (!remember_location(r, conf)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!is_preflight(r)) {
        return NGX_DECLINED;
    }

    return origin_allowed(r, conf, origin)
               ? NGX_HTTP_NO_CONTENT
               : reject_publish(r, NGX_HTTP_FORBIDDEN,
                                origin_refusal(r, origin));
}

} // namespace

ngx_int_t install_cors(ngx_conf_t *cf)
{
    auto *core = static_cast<ngx_http_core_main_conf_t *>(
        ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module));
    auto *handler = static_cast<ngx_http_handler_pt *>(
        ngx_array_push(&core->phases[NGX_HTTP_PREACCESS_PHASE].handlers));

    if (handler == nullptr) {
        return NGX_ERROR;
    }

    *handler = preaccess_handler;
    next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = header_filter;
    return NGX_OK;
}

} // namespace websocket::nginx
