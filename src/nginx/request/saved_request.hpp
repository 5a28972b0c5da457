// What is kept of an HTTP request that is released before its connection ends:
// enough for handlers, for the error log, and for an access log line that is
// the same as if the request had been kept.
//
// All of it lies in one block of memory, in which no text is there twice: most
// of what is asked for are pieces of the request line.
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
    // What a request is kept by beside its variables.
    enum class field : std::uint8_t {
        request_line,
        unparsed_uri,
        uri,
        args,
        method_name,
        http_protocol,
        server, // the host, as $host has it
        host,   // these two as the client sent them
        referer,
        key, // of the resource
        subprotocol,
        captured, // what a regular expression has last matched,
        captures, // and where in it its parts are: numbers as in the index
        count,
    };

    // Of a request that has been answered with 101. Evaluates each variable of
    // the configuration that is not to be left to the end. Null when there is
    // no memory; then the request is as it was.
    static std::unique_ptr<const saved_request>
    create(ngx_http_request_t *r, std::string_view key,
           std::string_view subprotocol) noexcept;

    saved_request(const saved_request &) = delete;
    saved_request &operator=(const saved_request &) = delete;
    static void operator delete(void *block) noexcept { std::free(block); }

    // As long as this object. Without data where the request had none.
    std::string_view text(field which) const noexcept;

    // Makes a request of the connection again that can be logged, and whose
    // texts are this object's. Null when there is no memory. The connection's
    // data is the HTTP connection afterwards.
    ngx_http_request_t *recreate_request(ngx_connection_t *c) const noexcept;

    ngx_http_connection_t *http_connection() const noexcept { return http_; }

    // What nginx gives the words behind a line of the error log with.
    ngx_log_handler_pt log_handler() const noexcept { return log_handler_; }

    // The server by whose name the error log calls the request's.
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
    std::uint32_t index_size_ = 0; // of the content's first part
    std::uint16_t start_milliseconds_;
    bool pipelined_ : 1;
    bool internal_ : 1;
    bool valid_location_ : 1;
};

} // namespace websocket::nginx
