// The functions about tokens that handlers call.
#pragma once

#include "sdk/websocket_plugin.h"

#include <cstdint>

namespace websocket::nginx {

const websocket_token_t *
client_token(const websocket_client_t *client) noexcept;
websocket_token_t *read_token(websocket_client_t *client, websocket_text_t text,
                              const char **error) noexcept;
void drop_token(websocket_token_t *token) noexcept;
int use_token(websocket_client_t *client,
              const websocket_token_t *token) noexcept;
std::uint64_t token_expires(const websocket_token_t *token) noexcept;
int token_covers(const websocket_token_t *token,
                 websocket_text_t name) noexcept;

} // namespace websocket::nginx
