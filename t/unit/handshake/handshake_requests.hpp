// Requests for the tests of the opening handshake: a valid one, which a test
// changes.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/handshake/handshake.hpp"
#include "protocol/text/tokens.hpp"

namespace websocket::protocol {

inline constexpr std::string_view sample_key = "dGhlIHNhbXBsZSBub25jZQ==";

// A valid request, which a test changes or extends.
class request {
public:
    request &add(std::string name, std::string value)
    {
        headers_.emplace_back(std::move(name), std::move(value));
        return *this;
    }

    request &remove(std::string_view name)
    {
        std::erase_if(headers_, [&](const auto &header) {
            return equals_ignoring_case(header.first, name);
        });
        return *this;
    }

    request &set(std::string name, std::string value)
    {
        remove(name);
        return add(std::move(name), std::move(value));
    }

    // The result refers to memory of this request.
    opening_handshake read() const &
    {
        opening_handshake handshake;
        for (const auto &[name, value] : headers_) {
            handshake.add_header(name, value);
        }
        return handshake;
    }

    handshake_error check(std::string_view method = "GET",
                          unsigned http_version = 1001) const
    {
        return read().check(method, http_version);
    }

private:
    std::vector<std::pair<std::string, std::string>> headers_{
        {"Host", "server.example.com"},
        {"Upgrade", "websocket"},
        {"Connection", "Upgrade"},
        {"Sec-WebSocket-Key", std::string(sample_key)},
        {"Sec-WebSocket-Version", "13"},
    };
};

inline handshake_error check_with(std::string name, std::string value)
{
    return request().set(std::move(name), std::move(value)).check();
}

} // namespace websocket::protocol
