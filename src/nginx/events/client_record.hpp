// The parts of a handshake that the events of its client need: the request's
// texts, the addresses, and the header fields that go along.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/request/varint.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace websocket::nginx::backend {

class client_record {
public:
    enum class text : std::uint8_t {
        key,
        unparsed_uri,
        uri,
        args,
        server, // the value of $host; empty: it is the field Host
        address,
        socket_address,
        local_address,
        protocols, // the subprotocols that the client offers
        count,
    };

    // Copies from a handshake. Throws std::bad_alloc.
    client_record(ngx_http_request_t *r, std::uint64_t id,
                  std::string_view key);

    // From what serialize() returned. Throws std::bad_alloc.
    explicit client_record(std::string_view serialized);

    client_record(const client_record &) = delete;
    client_record &operator=(const client_record &) = delete;

    // For another process. Throws std::bad_alloc.
    std::string serialize() const;

    // Whether serialize() of some process may have returned these bytes.
    static bool is_valid(std::string_view serialized) noexcept;

    // The id of the client in what serialize() returned.
    static std::uint64_t id_of(std::string_view serialized) noexcept;

    std::uint64_t id() const noexcept { return id_; }

    // The field WebSocket-User, which goes along; empty: nobody.
    std::string_view user() const noexcept;

    // Throws std::bad_alloc. Texts that get() returned end.
    void set_user(std::string_view user);

    // Valid as long as this object. All but the URI and the arguments are
    // followed by a zero byte.
    std::string_view get(text which) const noexcept;

    // Calls `call(name, value)` for each header field that goes along. Both
    // texts are followed by a zero byte.
    template <class Call>
    void each_field(Call call) const
    {
        const std::string_view all = packed();
        const u_char *at = borrowed(all).data;
        const u_char *end = at + all.size();

        for (auto i = static_cast<std::size_t>(text::count); i != 0; i--) {
            (void)next(at);
        }

        while (at != end) {
            const std::string_view name = next(at);
            call(name, next(at));
        }
    }

private:
    // Advances `at` past a text.
    static std::string_view next(const u_char *&at) noexcept
    {
        const std::size_t size = read_varint(at);
        const std::string_view found(reinterpret_cast<const char *>(at), size);

        at += size + 1;
        return found;
    }

    void keep(std::string_view packed);
    std::string_view packed() const noexcept;
    std::string_view stored(text which) const noexcept;

    std::uint64_t id_ = 0;

    // The size in 4 bytes, then each text with its size before it and a zero
    // byte behind. One of these is kept for each client.
    std::unique_ptr<u_char[]> block_;
};

// Whether a header field of the client goes along with its events: not those of
// the connection and the body, nor those that the server itself adds.
bool goes_along(std::string_view name) noexcept;

} // namespace websocket::nginx::backend
