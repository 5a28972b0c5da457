// The part of an HTTP request that is kept if the request is released before
// its connection ends. It suffices for handlers, for the error log, and for the
// same access log line as if the request had been kept.
//
// The object and all texts are in one block of memory. Each text is stored
// once, and most of them are parts of the request line.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace websocket::nginx {

class saved_request {
public:
    // The texts that are saved in addition to variables.
    enum class field : std::uint8_t {
        request_line,
        unparsed_uri,
        uri,
        args,
        method_name,
        http_protocol,
        server, // the value of $host
        host,   // this and the next one as the client sent them
        referer,
        key, // the resource's key
        subprotocol,
        captured, // the subject of the last regular expression
        captures, // the offsets of its captures, as varints
        count,
    };

    // Saves a request that was answered with 101 or 200. Evaluates the
    // variables of the configuration that must be evaluated at release. Returns
    // null without memory; the request is unchanged then.
    static std::unique_ptr<const saved_request>
    create(ngx_http_request_t *r, std::string_view key,
           std::string_view subprotocol) noexcept;

    saved_request(const saved_request &) = delete;
    saved_request &operator=(const saved_request &) = delete;
    static void operator delete(void *block) noexcept { std::free(block); }

    // Returns a text, valid as long as this object. data() is null if the
    // request had none.
    std::string_view text(field which) const noexcept;

    // Creates a request of the connection for the access log, with texts of
    // this object. Returns null without memory. Sets the data of the connection
    // to the request, or to the HTTP connection on failure.
    ngx_http_request_t *recreate_request(ngx_connection_t *c) const noexcept;

    ngx_http_connection_t *http_connection() const noexcept { return http_; }

    // The handler by which nginx adds context to lines of the error log.
    ngx_log_handler_pt log_handler() const noexcept { return log_handler_; }

    // The server name that the error log shows for the request.
    const ngx_str_t &server_name() const noexcept;

private:
    explicit saved_request(ngx_http_request_t *r) noexcept;
    ~saved_request() = default;
    friend struct std::default_delete<const saved_request>;

    const u_char *content() const noexcept
    {
        return reinterpret_cast<const u_char *>(this + 1);
    }
    void restore(ngx_http_request_t *r) const noexcept;
    void restore_text(ngx_http_request_t *r) const noexcept;
    void restore_captures(ngx_http_request_t *r) const noexcept;
    void restore_variables(ngx_http_request_t *r) const noexcept;

    ngx_http_connection_t *http_;
    ngx_log_handler_pt log_handler_;
    void **server_conf_;
    void **location_conf_;
    time_t start_seconds_;
    off_t request_length_;
    std::uint32_t header_size_;
    std::uint32_t index_size_ = 0; // the index is the first part of content()
    std::uint16_t start_milliseconds_;
    std::uint16_t status_;
    bool pipelined_ : 1;
    bool internal_ : 1;
    bool valid_location_ : 1;
};

} // namespace websocket::nginx
