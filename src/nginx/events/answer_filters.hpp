// Reads the answers to events where nginx would send responses to a client.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx::backend {

// Adds the filters of header and body. They must come before those of nginx.
void install_answer_filters() noexcept;

} // namespace websocket::nginx::backend
