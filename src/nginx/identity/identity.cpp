// Evaluates who the client of a handshake is.
#include "nginx/identity/identity.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/request/refusal.hpp"
#include "protocol/text/utf8.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

constexpr std::size_t max_user_size = 256;

bool is_control(char letter) noexcept
{
    return static_cast<unsigned char>(letter) < 0x20 || letter == 0x7F;
}

// In the request's pool. An internal redirect keeps it, but another location
// needs another identity.
struct identified_request {
    const location_configuration *location;
    std::unique_ptr<identity> found; // null: nobody
};

void destroy_identified(void *data)
{
    delete static_cast<identified_request *>(data);
}

ngx_pool_cleanup_t *find_cleanup(ngx_http_request_t *r) noexcept
{
    ngx_pool_cleanup_t *at = r->main->pool->cleanup;

    while (at != nullptr && at->handler != destroy_identified) {
        at = at->next;
    }

    return at;
}

// Null: the request was not identified for its location.
identified_request *identified(ngx_http_request_t *r) noexcept
{
    const ngx_pool_cleanup_t *cleanup = find_cleanup(r);
    auto *found = cleanup == nullptr
                      ? nullptr
                      : static_cast<identified_request *>(cleanup->data);

    return found != nullptr &&
                   found->location == location_conf<location_configuration>(r)
               ? found
               : nullptr;
}

void forget_identity(ngx_http_request_t *r) noexcept
{
    if (ngx_pool_cleanup_t *cleanup = find_cleanup(r); cleanup != nullptr) {
        cleanup->handler = nullptr; // else it would keep the request
        destroy_identified(std::exchange(cleanup->data, nullptr));
    }
}

// Throws std::bad_alloc.
identified_request &create_identified(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(r->main->pool, 0);

    if (cleanup == nullptr) {
        throw std::bad_alloc{};
    }

    auto *created =
        new identified_request{location_conf<location_configuration>(r), {}};

    cleanup->data = created;
    cleanup->handler = destroy_identified;
    return *created;
}

// Throws std::bad_alloc.
void set_user(identified_request &of, std::string_view user)
{
    if (of.found == nullptr && !user.empty()) {
        of.found = std::make_unique<identity>();
    }

    if (of.found != nullptr) {
        of.found->user = user;
    }
}

// Its value mostly comes from the client, so a bad one is the client's fault.
ngx_int_t reject_user(ngx_http_request_t *r, const char *why) noexcept
{
    return reject_handshake(r, NGX_HTTP_BAD_REQUEST, why);
}

// Throws std::bad_alloc.
ngx_int_t evaluate_user(ngx_http_request_t *r, identified_request &of)
{
    ngx_http_complex_value_t *value = of.location->user;
    ngx_str_t user;

    if (value == nullptr) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, value, &user) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (const char *why = user_error(view(user)); why != nullptr) {
        return reject_user(r, why);
    }

    set_user(of, view(user));
    return NGX_OK;
}

} // namespace

const char *user_error(std::string_view user) noexcept
{
    if (user.size() > max_user_size) {
        return "the user is longer than 256 bytes";
    }

    if (!protocol::is_valid_utf8(std::as_bytes(std::span(user)))) {
        return "the user is not valid UTF-8";
    }

    return std::any_of(user.begin(), user.end(), is_control)
               ? "the user has a control character"
               : nullptr;
}

ngx_int_t identify(ngx_http_request_t *r) noexcept
try {
    if (location_conf<location_configuration>(r)->user == nullptr ||
        identified(r) != nullptr) {
        return NGX_OK;
    }

    forget_identity(r); // that of another location
    return evaluate_user(r, create_identified(r));

} catch (const std::bad_alloc &) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}

const identity *identity_of(ngx_http_request_t *r) noexcept
{
    const identified_request *of = identified(r);

    return of == nullptr ? nullptr : of->found.get();
}

bool set_user(ngx_http_request_t *r, std::string_view user) noexcept
try {
    identified_request *of = identified(r);

    set_user(of == nullptr ? create_identified(r) : *of, user);
    return true;

} catch (const std::bad_alloc &) {
    return false;
}

std::unique_ptr<identity> take_identity(ngx_http_request_t *r) noexcept
{
    identified_request *of = identified(r);
    std::unique_ptr<identity> taken =
        of == nullptr ? nullptr : std::move(of->found);

    forget_identity(r);
    return taken;
}

} // namespace websocket::nginx
