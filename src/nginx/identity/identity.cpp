// Finds out who the client of a handshake is.
#include "nginx/identity/identity.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/identity/bearer_offer.hpp"
#include "nginx/identity/token_settings.hpp"
#include "nginx/request/refusal.hpp"
#include "protocol/text/tokens.hpp"
#include "protocol/text/utf8.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

constexpr std::size_t longest_user = 256;

// In the request's pool. An internal redirect keeps it, but another location
// needs another identity.
struct identified_request {
    const location_configuration *location;
    std::string offered; // a token that was a subprotocol
    std::size_t offered_count = 0;
    bool token_checked = false;
    bool user_known = false;
    const char *token_error = nullptr; // null: it is valid, or there is none
    std::unique_ptr<identity> found{}; // null: nobody

    identity &created()
    {
        if (found == nullptr) {
            found = std::make_unique<identity>();
        }

        return *found;
    }

    void set_user(std::string_view user)
    {
        if (found != nullptr || !user.empty()) {
            created().user = user;
        }
    }

    void enter(const location_configuration &other) noexcept
    {
        location = &other;
        token_checked = false;
        user_known = false;
        token_error = nullptr;
        found.reset();
    }
};

bool is_control(char letter) noexcept
{
    return static_cast<unsigned char>(letter) < 0x20 || letter == 0x7F;
}

void destroy_identified(void *data)
{
    delete static_cast<identified_request *>(data);
}

// Null: nothing was asked for yet, or the session has it.
ngx_pool_cleanup_t *find_cleanup(ngx_http_request_t *r) noexcept
{
    ngx_pool_cleanup_t *at = r->main->pool->cleanup;

    while (at != nullptr && at->handler != destroy_identified) {
        at = at->next;
    }

    return at;
}

identified_request *known_identity(ngx_http_request_t *r) noexcept
{
    const ngx_pool_cleanup_t *cleanup = find_cleanup(r);
    auto *found = cleanup == nullptr
                      ? nullptr
                      : static_cast<identified_request *>(cleanup->data);
    const auto *location = location_conf<location_configuration>(r);

    if (found != nullptr && found->location != location) {
        found->enter(*location);
    }

    return found;
}

// Throws std::bad_alloc.
identified_request &identified(ngx_http_request_t *r)
{
    if (identified_request *known = known_identity(r); known != nullptr) {
        return *known;
    }

    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(r->main->pool, 0);

    if (cleanup == nullptr) {
        throw std::bad_alloc{};
    }

    auto *created = new identified_request{
        .location = location_conf<location_configuration>(r), .offered = {}};

    cleanup->data = created;
    cleanup->handler = destroy_identified;
    return *created;
}

void take_offer(ngx_http_request_t *r, identified_request &of)
{
    of.offered_count += take_bearer_offer(r, of.offered);
}

// Authorization has it before the token.
constexpr std::string_view bearer_scheme = "Bearer ";

bool has_scheme(std::string_view value) noexcept
{
    return protocol::equals_ignoring_case(value.substr(0, bearer_scheme.size()),
                                          bearer_scheme);
}

std::string_view without_scheme(std::string_view value) noexcept
{
    return has_scheme(value) ? value.substr(bearer_scheme.size()) : value;
}

// Event streams and programs, which can set this field, offer no subprotocol.
std::string_view bearer_field(ngx_http_request_t *r) noexcept
{
    const ngx_table_elt_t *field = r->headers_in.authorization;

    return field != nullptr && has_scheme(view(field->value))
               ? without_scheme(view(field->value))
               : std::string_view{};
}

// Null without memory, else a text in `token`; empty: there is none.
bool find_token(ngx_http_request_t *r, identified_request &of,
                std::string_view &token)
{
    ngx_str_t value;

    if (of.location->tokens->from_subprotocol()) {
        take_offer(r, of);
        token = of.offered_count == 0 ? bearer_field(r) : of.offered;
        return true;
    }

    if (ngx_http_complex_value(r, of.location->tokens->source, &value) !=
        NGX_OK) {
        return false;
    }

    token = without_scheme(view(value));
    return true;
}

// Throws std::bad_alloc.
void check_token(ngx_http_request_t *r, identified_request &of)
{
    const token_settings *settings = of.location->tokens;
    std::string_view text;

    // The source may refer to the token itself
    if (settings == nullptr || std::exchange(of.token_checked, true)) {
        return;
    }

    if (!find_token(r, of, text)) {
        throw std::bad_alloc{};
    }

    if (of.offered_count > 1) {
        of.token_error = "there is more than one";
        return;
    }

    if (text.empty() && of.offered_count == 0) {
        return;
    }

    tokens::verified result = settings->verify(text);

    of.token_error = result.error;

    if (result.value != nullptr) {
        identity &created = of.created();

        created.token = std::move(result.value);

        if (of.location->user == nullptr) {
            created.user = created.token->subject();
        }
    }
}

// RFC 6750 3: a challenge has a parameter, but no error without a token (3.1).
ngx_int_t reject_token(ngx_http_request_t *r, const char *error)
{
    const std::string_view challenge = error == nullptr
                                           ? "Bearer realm=\"websocket\""
                                           : "Bearer error=\"invalid_token\"";

    if (!add_header(r, "WWW-Authenticate", challenge)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return reject_handshake(r, NGX_HTTP_UNAUTHORIZED,
                            error == nullptr ? "there is no token"
                                             : "the token is not valid: " +
                                                   std::string(error));
}

// Throws std::bad_alloc.
ngx_int_t authenticate(ngx_http_request_t *r, identified_request &of)
{
    const token_settings *settings = of.location->tokens;

    check_token(r, of);

    if (of.token_error != nullptr) {
        return reject_token(r, of.token_error);
    }

    return settings != nullptr && settings->required &&
                   (of.found == nullptr || of.found->token == nullptr)
               ? reject_token(r, nullptr)
               : NGX_OK;
}

// Throws std::bad_alloc.
ngx_int_t evaluate_user(ngx_http_request_t *r, identified_request &of)
{
    ngx_str_t user;

    if (std::exchange(of.user_known, true) || of.location->user == nullptr) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, of.location->user, &user) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    // Its value mostly comes from the client, so a bad one is the client's
    if (const char *why = user_error(view(user)); why != nullptr) {
        return reject_handshake(r, NGX_HTTP_BAD_REQUEST, why);
    }

    of.set_user(view(user));
    return NGX_OK;
}

} // namespace

const char *user_error(std::string_view user) noexcept
{
    if (user.size() > longest_user) {
        return "the user is longer than 256 bytes";
    }

    if (!protocol::is_valid_utf8(std::as_bytes(std::span(user)))) {
        return "the user is not valid UTF-8";
    }

    return std::any_of(user.begin(), user.end(), is_control)
               ? "the user has a control character"
               : nullptr;
}

bool take_offered_token(ngx_http_request_t *r) noexcept
try {
    const token_settings *settings =
        location_conf<location_configuration>(r)->tokens;

    if (settings != nullptr && settings->from_subprotocol()) {
        take_offer(r, identified(r));
    }

    return true;

} catch (const std::bad_alloc &) {
    return false;
}

ngx_int_t identify(ngx_http_request_t *r) noexcept
try {
    const auto &conf = *location_conf<location_configuration>(r);

    if (conf.user == nullptr && conf.tokens == nullptr) {
        return NGX_OK;
    }

    identified_request &of = identified(r);
    const ngx_int_t rc = authenticate(r, of);

    return rc == NGX_OK ? evaluate_user(r, of) : rc;

} catch (const std::bad_alloc &) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}

const identity *identity_of(ngx_http_request_t *r) noexcept
try {
    if (location_conf<location_configuration>(r)->tokens != nullptr) {
        check_token(r, identified(r));
    }

    const identified_request *of = known_identity(r);

    return of == nullptr ? nullptr : of->found.get();

} catch (const std::bad_alloc &) {
    return nullptr;
}

bool set_user(ngx_http_request_t *r, std::string_view user) noexcept
try {
    identified(r).set_user(user);
    return true;

} catch (const std::bad_alloc &) {
    return false;
}

std::unique_ptr<identity> take_identity(ngx_http_request_t *r) noexcept
{
    ngx_pool_cleanup_t *cleanup = find_cleanup(r);

    if (cleanup == nullptr) {
        return nullptr;
    }

    auto taken = std::move(known_identity(r)->found);

    cleanup->handler = nullptr; // else it would keep the request
    destroy_identified(std::exchange(cleanup->data, nullptr));
    return taken;
}

std::uint64_t wall_clock() noexcept
{
    const ngx_time_t *now = ngx_timeofday();

    return static_cast<std::uint64_t>(now->sec) * 1000 + now->msec;
}

tokens::verified token_settings::verify(std::string_view text) const noexcept
try {
    return verifier.verify(text, wall_clock());

} catch (const std::bad_alloc &) {
    return {nullptr, "no memory"};
}

} // namespace websocket::nginx
