// The client's side of the opening handshake.
#pragma once

#include "deflate.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace websocket::load {

class tls_setting;

// The address of a server and the request to send.
struct destination {
    std::uint16_t port = 0;
    std::string path;
    std::string subprotocol;
    bool raw = false; // no handshake; the server sends all bytes back
    bool deflate = false;
    bool event_stream = false; // a request for one, instead of the handshake
    const tls_setting *tls = nullptr;
};

struct agreement {
    long worker = 0; // the header X-Worker; 0 without it
    std::optional<deflate_terms> deflate;
    bool chunked = false; // the body of an event stream
};

// The path of the request for this connection.
std::string path_for(const destination &to, std::size_t number);
std::string request_for(const destination &to, std::size_t number);

// Throws peer_fault if the response does not match the request.
agreement check_response(std::string_view head, const destination &to);

} // namespace websocket::load
