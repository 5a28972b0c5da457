// Writes the events of a session: the code and the reason of a Close as JSON.
#include "nginx/output/event_bytes.hpp"

#include "nginx/core/nginx_headers.hpp"
#include "protocol/frames/close_code.hpp"

#include <cstdint>

namespace websocket::nginx {

namespace {

// After an end that concerns all clients of a worker, they come back over some
// seconds.
constexpr ngx_uint_t min_retry = 1000; // ms
constexpr ngx_uint_t retry_spread = 3000;

ngx_uint_t retry_time() noexcept
{
    return min_retry + static_cast<ngx_uint_t>(ngx_random()) % retry_spread;
}

bool is_written_as_is(char each) noexcept
{
    return static_cast<unsigned char>(each) >= ' ' && each != '"' &&
           each != '\\';
}

// Writes text into a buffer that is large enough.
class text_writer {
public:
    explicit text_writer(std::span<char> buffer) noexcept
        : begin_{reinterpret_cast<u_char *>(buffer.data())}, at_{begin_},
          end_{begin_ + buffer.size()}
    {}

    void add(std::string_view text) noexcept
    {
        ngx_str_t borrowed_text = borrowed(text);
        at_ = ngx_slprintf(at_, end_, "%V", &borrowed_text);
    }

    void add(ngx_uint_t number) noexcept
    {
        at_ = ngx_slprintf(at_, end_, "%ui", number);
    }

    void add_escaped(std::string_view text) noexcept
    {
        for (const char &each : text) {
            if (is_written_as_is(each)) {
                add(std::string_view(&each, 1));
            } else {
                at_ = ngx_slprintf(at_, end_, "\\u%04xd", each);
            }
        }
    }

    std::size_t size() const noexcept
    {
        return static_cast<std::size_t>(at_ - begin_);
    }

private:
    u_char *begin_;
    u_char *at_;
    u_char *end_;
};

} // namespace

close_bytes::close_bytes(const protocol::control_frame &frame,
                         bool as_event) noexcept
    : bytes_{frame.bytes()}
{
    constexpr std::size_t frame_header = 2;
    constexpr std::size_t code_size = 2;

    if (!as_event || bytes_.empty()) {
        return;
    }

    const auto payload = bytes_.subspan(frame_header);
    ngx_uint_t code = protocol::close_code::none_received;
    std::string_view reason;

    if (payload.size() >= code_size) {
        code = std::to_integer<ngx_uint_t>(payload[0]) << 8U |
               std::to_integer<ngx_uint_t>(payload[1]);
        reason = as_text(payload.subspan(code_size));
    }

    text_writer event(event_);

    event.add("retry: ");
    event.add(retry_time());
    event.add("\nevent: close\ndata: {\"type\":\"close\",\"code\":");
    event.add(code);
    event.add(",\"reason\":\"");
    event.add_escaped(reason);
    event.add("\"}\n\n");
    bytes_ = std::as_bytes(std::span(event_).first(event.size()));
}

event_preamble::event_preamble() noexcept
{
    text_writer preamble(text_);

    preamble.add("retry: ");
    preamble.add(retry_time());
    preamble.add("\n\n");
    size_ = preamble.size();
}

} // namespace websocket::nginx
