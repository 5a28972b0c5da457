// Reads the code and the reason of a Close.
#include "nginx/publish/close_payload.hpp"

#include "nginx/publish/direct_request.hpp"
#include "protocol/frames/close_code.hpp"
#include "protocol/text/utf8.hpp"
#include "sdk/websocket_text.hpp"

#include <cstdint>
#include <span>

namespace websocket::nginx {

namespace {

// RFC 6455 5.5: 125 bytes less those of the code
constexpr std::size_t max_close_reason = 123;

// RFC 6455 7.4.1: only clients send 1010.
bool is_server_close_code(std::uint64_t code) noexcept
{
    return code <= UINT16_MAX && code != 1010 &&
           protocol::close_code::is_valid_on_wire(
               static_cast<std::uint16_t>(code));
}

} // namespace

std::string_view read_close_payload(ngx_http_request_t *r,
                                    std::string &close_payload)
{
    const auto code = detail::decimal(argument(r, "code", "1000"));
    const std::string reason = detail::form_decoded(argument(r, "reason", ""));

    if (!code || !is_server_close_code(*code)) {
        return "close code must be 1000-1003, 1007-1009, 1011-1014 or "
               "3000-4999";
    }

    if (reason.size() > max_close_reason) {
        return "the reason is longer than 123 bytes";
    }

    if (!protocol::is_valid_utf8(std::as_bytes(std::span(reason)))) {
        return "the reason is not UTF-8";
    }

    close_payload = {static_cast<char>(*code >> 8),
                     static_cast<char>(*code & 0xFF)};
    close_payload += reason;
    return {};
}

} // namespace websocket::nginx
