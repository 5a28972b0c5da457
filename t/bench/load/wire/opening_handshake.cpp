// The client's side of the opening handshake.
#include "opening_handshake.hpp"

#include "transport.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace websocket::load {

namespace {

// The example of RFC 6455 1.3
constexpr std::string_view key = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view accepted = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

// The value of a header field of a response, or empty.
std::string_view field(std::string_view head, std::string_view name)
{
    std::size_t at = 0;

    while ((at = head.find("\r\n", at)) != head.npos) {
        at += 2;

        std::string_view line = head.substr(at, head.find("\r\n", at) - at);

        if (line.size() > name.size() && line[name.size()] == ':' &&
            std::equal(name.begin(), name.end(), line.begin(),
                       [](unsigned char a, unsigned char b) {
                           return std::tolower(a) == std::tolower(b);
                       })) {
            line.remove_prefix(name.size() + 1);
            line.remove_prefix(
                std::min(line.find_first_not_of(' '), line.size()));
            return line;
        }
    }

    return {};
}

peer_fault refused(std::string_view head)
{
    return peer_fault("refused: " +
                      std::string(head.substr(0, head.find('\r'))));
}

agreement check_event_stream(std::string_view head)
{
    if (!head.starts_with("HTTP/1.1 200")) {
        throw refused(head);
    }

    if (!field(head, "Content-Type").starts_with("text/event-stream")) {
        throw peer_fault("the response is no event stream");
    }

    agreement result;

    result.chunked = field(head, "Transfer-Encoding") == "chunked";
    return result;
}

} // namespace

std::string path_for(const destination &to, std::size_t number)
{
    std::string path = to.path;

    if (const auto at = path.find("{}"); at != path.npos) {
        path.replace(at, 2, std::to_string(number));
    }

    return path;
}

std::string request_for(const destination &to, std::size_t number)
{
    std::string request =
        "GET " + path_for(to, number) +
        " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(to.port) + "\r\n";

    if (to.event_stream) {
        return request.append("Accept: text/event-stream\r\n\r\n");
    }

    request.append("Upgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ");
    request.append(key).append("\r\n");

    if (!to.subprotocol.empty()) {
        request += "Sec-WebSocket-Protocol: " + to.subprotocol + "\r\n";
    }

    if (to.deflate) {
        request += "Sec-WebSocket-Extensions: ";
        request.append(deflate_offer).append("\r\n");
    }

    return request.append("\r\n");
}

agreement check_response(std::string_view head, const destination &to)
{
    if (to.event_stream) {
        return check_event_stream(head);
    }

    if (!head.starts_with("HTTP/1.1 101")) {
        throw refused(head);
    }

    if (field(head, "Sec-WebSocket-Accept") != accepted) {
        throw peer_fault("the response has a wrong Sec-WebSocket-Accept");
    }

    agreement result;
    const std::string_view worker = field(head, "X-Worker");
    const std::string_view extensions = field(head, "Sec-WebSocket-Extensions");

    std::from_chars(worker.data(), worker.data() + worker.size(),
                    result.worker);

    if (to.deflate) {
        result.deflate = parse_deflate_terms(extensions);
    } else if (!extensions.empty()) {
        throw peer_fault("the response has an extension that was not offered");
    }

    return result;
}

} // namespace websocket::load
