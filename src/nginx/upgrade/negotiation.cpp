// Negotiates the subprotocol and the extension, and adds the header fields of
// the 101 response.
#include "nginx/upgrade/negotiation.hpp"

#include "nginx/backend/connect.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/request/refusal.hpp"

#include <algorithm>
#include <array>

namespace websocket::nginx {

namespace {

std::string_view
preferred_subprotocol(ngx_http_request_t *r,
                      const protocol::opening_handshake &handshake) noexcept
{
    const auto &conf = *location_conf<location_configuration>(r);

    if (conf.subprotocols == nullptr) {
        return {};
    }

    return handshake.select_subprotocol(
        {static_cast<std::string_view *>(conf.subprotocols->elts),
         conf.subprotocols->nelts});
}

// Copies a text to the request's pool. Returns nothing without memory.
std::optional<std::string_view> copy_text(ngx_http_request_t *r,
                                          std::string_view text) noexcept
{
    auto *copy = static_cast<char *>(ngx_pnalloc(r->pool, text.size()));

    if (copy == nullptr) {
        return std::nullopt;
    }

    ngx_memcpy(copy, text.data(), text.size());
    return std::string_view{copy, text.size()};
}

bool add_extensions(ngx_http_request_t *r,
                    const protocol::deflate_params &params) noexcept
{
    if (!params.agreed) {
        return true;
    }

    const auto text = copy_text(r, protocol::deflate_response(params).text());

    return text && add_header(r, "Sec-WebSocket-Extensions", *text);
}

} // namespace

std::string_view preferred_subprotocol(ngx_http_request_t *r) noexcept
{
    protocol::opening_handshake handshake;

    read_headers(r, handshake);
    return preferred_subprotocol(r, handshake);
}

std::optional<std::string_view>
choose_subprotocol(ngx_http_request_t *r, const resource &target,
                   const protocol::opening_handshake &handshake) noexcept
{
    const auto choose = target.handler().select_subprotocol;

    const auto chosen_by_backend = backend::chosen_subprotocol(r);

    if (choose == nullptr && !chosen_by_backend) {
        return preferred_subprotocol(r, handshake);
    }

    std::array<std::string_view, protocol::opening_handshake::max_subprotocols>
        names;
    std::array<websocket_text_t, names.size()> offered;
    const std::size_t count = handshake.offered_subprotocols(names);

    for (std::size_t i = 0; i != count; i++) {
        offered[i] = {names[i].data(), names[i].size()};
    }

    websocket_text_t chosen{nullptr, 0};

    if (chosen_by_backend) {
        chosen = {chosen_by_backend->data(), chosen_by_backend->size()};

    } else if (choose(target.object(),
                      reinterpret_cast<websocket_request_t *>(r),
                      offered.data(), count, &chosen) != 0) {
        return std::nullopt;
    }

    const auto *found = std::find(names.data(), names.data() + count,
                                  std::string_view{chosen.data, chosen.size});

    if (found != names.data() + count) {
        return *found;
    }

    // A backend that chooses a name that was not offered is in error
    return chosen_by_backend && chosen.size != 0
               ? std::nullopt
               : std::optional(std::string_view{});
}

protocol::deflate_params negotiate_deflate(ngx_http_request_t *r) noexcept
{
    protocol::deflate_negotiation offers(
        location_conf<location_configuration>(r)->deflate_settings);

    read_headers(r, offers);
    return offers.result();
}

bool add_upgrade_headers(ngx_http_request_t *r, std::string_view key,
                         const negotiated_options &options) noexcept
{
    std::array<char, 28> accept;

    if (!protocol::accept_key(key, accept)) {
        write_log(NGX_LOG_ERR, r->connection->log,
                  "websocket: handshake failed: libcrypto provides no SHA-1");
        return false;
    }

    const auto copy = copy_text(r, {accept.data(), accept.size()});

    return copy && add_header(r, "Upgrade", "websocket") &&
           add_header(r, "Sec-WebSocket-Accept", *copy) &&
           (options.subprotocol.empty() ||
            add_header(r, "Sec-WebSocket-Protocol", options.subprotocol)) &&
           backend::add_answer_fields(r) && add_extensions(r, options.deflate);
}

} // namespace websocket::nginx
