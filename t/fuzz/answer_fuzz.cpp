// Fuzzes what the answer of an HTTP backend says in text. A second
// implementation must agree, and each order to close must lead to a valid Close
// frame.
//
// The input is a Content-Type, a line feed and the value of WebSocket-Close.
#include <algorithm>
#include <cstdint>
#include <regex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nginx/events/answer_text.hpp"
#include "protocol/frames/close_payload.hpp"
#include "protocol/messages/endpoint.hpp"

#include "fuzzing.hpp"

using namespace websocket;
using namespace websocket::nginx::backend;

namespace {

// The code of an order, by other means; 0: none.
int code_of(const std::string &value)
{
    static const std::regex form("0*([0-9]{1,5})( [^]*)?");
    std::smatch found;

    return std::regex_match(value, found, form) ? std::stoi(found[1]) : 0;
}

void check_close(std::string_view value)
{
    const auto order = parse_close_order(value);
    const int code = code_of(std::string(value));
    const bool allowed =
        (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) ||
        (code >= 3000 && code <= 4999);

    require(order.has_value() == allowed);

    if (!order) {
        return;
    }

    const auto frame = protocol::make_close_frame(order->code, order->reason);
    const auto payload = frame.bytes().subspan(2);
    std::vector<std::byte> copy(payload.begin(), payload.end());
    const auto parsed = protocol::read_close_payload(copy);
    const std::string_view reason(
        reinterpret_cast<const char *>(parsed.reason.data()),
        parsed.reason.size());

    require(order->code == code && parsed.code == code);
    require(parsed.broken == protocol::error::none);
    require(order->reason.starts_with(reason));
}

void check_type(std::string_view type)
{
    static const std::regex form("application/octet-stream([; \t][^]*)?",
                                 std::regex::icase);

    require(is_binary_type(type) == std::regex_match(std::string(type), form));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data,
                                      std::size_t size)
{
    // std::regex uses the stack for each byte
    const std::string_view all(reinterpret_cast<const char *>(data),
                               std::min<std::size_t>(size, 1000));
    const std::size_t end = std::min(all.find('\n'), all.size());
    const exact_text type(all.substr(0, end));
    const exact_text close(all.substr(std::min(end + 1, all.size())));

    check_type(type.view());
    check_close(close.view());
    return 0;
}
