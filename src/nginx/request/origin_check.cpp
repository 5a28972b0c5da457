// Compares the Origin field with the origins that the location allows.
#include "nginx/request/origin_check.hpp"

#include "nginx/core/log_line.hpp"
#include "protocol/handshake/origin.hpp"
#include "protocol/text/tokens.hpp"

namespace websocket::nginx {

namespace {

bool origin_allowed(ngx_http_request_t *r, const location_configuration &conf,
                    std::string_view origin) noexcept
{
    if (conf.any_origin) {
        return true;
    }

    if (conf.same_origin && r->headers_in.host != nullptr &&
        protocol::is_same_origin(origin, view(r->headers_in.host->value))) {
        return true;
    }

    if (conf.origins == nullptr) {
        return false;
    }

    const std::span patterns{
        static_cast<protocol::origin_pattern *>(conf.origins->elts),
        conf.origins->nelts};

    for (const protocol::origin_pattern &pattern : patterns) {
        if (pattern.matches(origin)) {
            return true;
        }
    }

    return false;
}

} // namespace

request_origin find_origin(const ngx_http_request_t *r) noexcept
{
    request_origin found;

    each_header(r, [&found](const ngx_table_elt_t &header) {
        if (protocol::equals_ignoring_case(view(header.key), "Origin")) {
            found.repeated = found.given;
            found.given = true;
            found.text = view(header.value);
        }
    });

    return found;
}

bool origin_allowed(ngx_http_request_t *r, const location_configuration &conf,
                    const request_origin &origin) noexcept
{
    if (!origin.given) {
        return true; // browsers always send it for pages of another site
    }

    return origin.repeated ? conf.any_origin != 0
                           : origin_allowed(r, conf, origin.text);
}

origin_refusal::origin_refusal(const ngx_http_request_t *r,
                               const request_origin &origin) noexcept
{
    const auto *host = r->headers_in.host;
    clean_name shown_origin(origin.text);
    clean_name shown_host(host == nullptr ? "" : view(host->value));

    const u_char *end =
        origin.repeated
            ? ngx_snprintf(text_.data(), text_.size(),
                           "the field Origin is repeated")
            : ngx_snprintf(text_.data(), text_.size(),
                           "origin \"%V\" is not allowed on host \"%V\": list "
                           "it in websocket_origins if it is yours",
                           shown_origin.get(), shown_host.get());

    size_ = static_cast<std::size_t>(end - text_.data());
}

} // namespace websocket::nginx
