// Takes tokens out of the offered subprotocols.
#include "nginx/identity/bearer_offer.hpp"

#include "nginx/core/configuration.hpp"
#include "protocol/text/tokens.hpp"

#include <algorithm>
#include <new>
#include <string_view>

namespace websocket::nginx {

namespace {

constexpr std::string_view bearer_prefix = "bearer.";
constexpr std::string_view offer_variable = "http_sec_websocket_protocol";

bool is_bearer(std::string_view name) noexcept
{
    return protocol::equals_ignoring_case(name.substr(0, bearer_prefix.size()),
                                          bearer_prefix);
}

bool has_bearer(const ngx_table_elt_t &field) noexcept
{
    if (!protocol::equals_ignoring_case(view(field.key),
                                        "Sec-WebSocket-Protocol")) {
        return false;
    }

    for (const std::string_view name :
         protocol::token_list(view(field.value))) {
        if (is_bearer(name)) {
            return true;
        }
    }

    return false;
}

// A variable that was evaluated before refers to the field, or has a copy.
void forget_offer_variable(ngx_http_request_t *r) noexcept
{
    const auto *core = static_cast<ngx_http_core_main_conf_t *>(
        ngx_http_get_module_main_conf(r, ngx_http_core_module));
    const std::span known{
        static_cast<const ngx_http_variable_t *>(core->variables.elts),
        core->variables.nelts};

    for (std::size_t i = 0; r->variables != nullptr && i != known.size(); i++) {
        if (view(known[i].name) == offer_variable) {
            r->variables[i].valid = 0;
            r->variables[i].not_found = 0;
        }
    }
}

// Leaves the other names of the field, followed by spaces.
std::size_t take_from(ngx_table_elt_t &field, std::string &token)
{
    std::string rest;
    std::size_t taken = 0;

    for (const std::string_view name :
         protocol::token_list(view(field.value))) {
        if (!is_bearer(name)) {
            rest += rest.empty() ? "" : ",";
            rest += name;

        } else if (taken++ == 0 && token.empty()) {
            token = name.substr(bearer_prefix.size());
        }
    }

    // Not longer, as the separators have one character
    std::fill_n(std::copy(rest.begin(), rest.end(), field.value.data),
                field.value.len - rest.size(), ' ');
    field.value.len = rest.size();
    field.hash = rest.empty() ? 0 : field.hash; // nginx then ignores the field
    return taken;
}

// nginx calls this before it writes the access log, for all requests.
ngx_int_t hide_bearer_offer(ngx_http_request_t *r)
try {
    std::string token;

    (void)take_bearer_offer(r, token);
    return NGX_OK;

} catch (const std::bad_alloc &) {
    // The whole offer then
    each_header(r, [](const ngx_table_elt_t &field) {
        if (has_bearer(field)) {
            std::fill_n(field.value.data, field.value.len, ' ');
        }
    });
    return NGX_OK;
}

} // namespace

std::size_t take_bearer_offer(ngx_http_request_t *r, std::string &token)
{
    std::size_t taken = 0;

    each_header(r, [&](const ngx_table_elt_t &field) {
        if (has_bearer(field)) {
            taken += take_from(const_cast<ngx_table_elt_t &>(field), token);
        }
    });

    if (taken != 0) {
        forget_offer_variable(r);
    }

    return taken;
}

ngx_int_t install_bearer_hiding(ngx_conf_t *cf) noexcept
{
    if (!main_conf(cf)->hides_bearer_offers) {
        return NGX_OK;
    }

    auto *core = static_cast<ngx_http_core_main_conf_t *>(
        ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module));
    ngx_array_t &handlers = core->phases[NGX_HTTP_LOG_PHASE].handlers;

    if (ngx_array_push(&handlers) == nullptr) {
        return NGX_ERROR;
    }

    auto *first = static_cast<ngx_http_handler_pt *>(handlers.elts);

    // Before all that log
    std::copy_backward(first, first + handlers.nelts - 1,
                       first + handlers.nelts);
    *first = hide_bearer_offer;
    return NGX_OK;
}

} // namespace websocket::nginx
