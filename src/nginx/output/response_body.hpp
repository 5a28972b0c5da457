// The body of a response over HTTP/2 or HTTP/3, where several responses share a
// connection: nginx's filters write it.
#pragma once

#include "nginx/core/nginx_headers.hpp"

#include <cstddef>
#include <span>

namespace websocket::nginx {

class response_body {
public:
    // Lives as long as the request. Null without memory.
    static response_body *create(ngx_http_request_t *r) noexcept;

    response_body(const response_body &) = delete;
    response_body &operator=(const response_body &) = delete;

    // Hands as much as nginx takes now to its filters. Returns the number of
    // bytes, or NGX_ERROR if the connection failed. While earlier bytes are not
    // sent, none are taken, and the write event of the connection is not ready.
    ssize_t send(std::span<const std::span<const std::byte>> pieces) noexcept;

    // Continues to send bytes that were taken. False: the connection failed.
    bool resume() noexcept;

    // True if nginx has sent anything since the last call, also by events of
    // the connection that clients share.
    bool has_progressed() noexcept;

    // Ends the body. Returns the value with which to finalize the request.
    ngx_int_t finish() noexcept;

private:
    explicit response_body(ngx_http_request_t *r) noexcept : request_{r} {}

    static void on_pool_cleanup(void *data);

    bool allocate(std::size_t size) noexcept;
    bool write(ngx_chain_t *chain) noexcept;
    bool busy() const noexcept { return buffer_.pos != buffer_.last; }
    void free_memory() noexcept;

    ngx_http_request_t *request_;
    ngx_buf_t buffer_{};
    ngx_chain_t link_{};
    off_t sent_ = 0; // at the last call of has_progressed()
};

} // namespace websocket::nginx
