// A handle of a token is a counted reference to it: that of the session, or one
// of its own.
#include "nginx/plugin/token_api.hpp"

#include "nginx/identity/token_settings.hpp"
#include "nginx/plugin/request_api.hpp"
#include "nginx/session/session.hpp"

#include <memory>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

using token_handle = std::shared_ptr<const tokens::token>;

const token_handle &token_of(const websocket_token_t *handle) noexcept
{
    return *reinterpret_cast<const token_handle *>(handle);
}

session &owner_of(websocket_client_t *client) noexcept
{
    return *reinterpret_cast<session *>(client);
}

} // namespace

const websocket_token_t *client_token(const websocket_client_t *client) noexcept
{
    const identity *known =
        reinterpret_cast<const session *>(client)->known_as();

    return known == nullptr || known->token == nullptr
               ? nullptr
               : reinterpret_cast<const websocket_token_t *>(&known->token);
}

websocket_token_t *read_token(websocket_client_t *client, websocket_text_t text,
                              const char **error) noexcept
{
    const token_settings *settings = owner_of(client).configuration().tokens;

    if (settings == nullptr) {
        *error = "this location takes no tokens";
        return nullptr;
    }

    // Cryptography takes longer than the bytes suggest
    owner_of(client).end_turn();

    tokens::verified result = settings->verify(text_of(text));
    auto *handle = result.value == nullptr
                       ? nullptr
                       : new (std::nothrow)
                             token_handle(std::move(result.value));

    if (handle == nullptr) {
        *error = result.error != nullptr ? result.error : "no memory";
    }

    return reinterpret_cast<websocket_token_t *>(handle);
}

void drop_token(websocket_token_t *token) noexcept
{
    delete reinterpret_cast<token_handle *>(token);
}

int use_token(websocket_client_t *client,
              const websocket_token_t *token) noexcept
{
    return owner_of(client).replace_token(token_of(token)) ? 1 : 0;
}

std::uint64_t token_expires(const websocket_token_t *token) noexcept
{
    return token_of(token)->expires();
}

int token_covers(const websocket_token_t *token, websocket_text_t name) noexcept
{
    return token_of(token)->covers(text_of(name)) ? 1 : 0;
}

} // namespace websocket::nginx
