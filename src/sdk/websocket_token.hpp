// Signed tokens of clients, which the directive websocket_jwt verifies.
// Included by websocket.hpp, whose rules apply.
#pragma once

#include "websocket_detail.hpp"

#include <cstdint>
#include <memory>
#include <string_view>

namespace websocket {

// A token that has been verified, or none. Does not own it: valid until the
// callback returns, unless a token owns it.
class token_view {
public:
    token_view() noexcept = default;
    explicit token_view(const websocket_token_t *handle) noexcept
        : handle_{handle}
    {}

    explicit operator bool() const noexcept { return handle_ != nullptr; }

    // When the token ends (the claim "exp"), in ms since 1970; 0: never, or no
    // token. The server closes the client up to `leeway` later.
    std::uint64_t expires() const noexcept
    {
        return handle_ == nullptr ? 0 : detail::server->token_expires(handle_);
    }

    // Whether the claim "rooms", a list of names, has this name. A "*" at the
    // end of a name in the list stands for any text. False without a token.
    bool covers(std::string_view name) const noexcept
    {
        return handle_ != nullptr &&
               detail::server->token_covers(handle_, detail::text(name)) != 0;
    }

protected:
    const websocket_token_t *handle_ = nullptr;
};

// A token that a client has sent: see client::read_token().
class token : public token_view {
public:
    // One line that says why there is no valid token; null if there is one.
    const char *error() const noexcept { return error_; }

private:
    friend class client;

    struct drop {
        void operator()(websocket_token_t *handle) const noexcept
        {
            detail::server->drop_token(handle);
        }
    };

    token(websocket_client_t *client, std::string_view text) noexcept
        : owned_{
              detail::server->read_token(client, detail::text(text), &error_)}
    {
        handle_ = owned_.get();
    }

    const char *error_ = nullptr;
    std::unique_ptr<websocket_token_t, drop> owned_;
};

} // namespace websocket
