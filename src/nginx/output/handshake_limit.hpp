// Limits the handshake messages of TLS that a client sends once it is
// connected: its KeyUpdates, and its wishes to negotiate anew.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

#if (NGX_SSL)

// From now on a client that sends too many of them has ended its side: what
// comes behind them is not received.
void limit_handshake_messages(SSL *tls) noexcept;

#endif

} // namespace websocket::nginx
