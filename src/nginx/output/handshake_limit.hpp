// Limits the TLS handshake messages of a connected client: key updates and
// renegotiation requests.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

#if (NGX_SSL)

// From now on, a client that sends too many is treated as having ended its
// side: nothing after them is received.
void limit_handshake_messages(SSL *tls) noexcept;

#endif

} // namespace websocket::nginx
