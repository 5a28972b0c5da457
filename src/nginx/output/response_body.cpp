// Copies bytes into a buffer that nginx's filters use until they are sent.
#include "nginx/output/response_body.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

// Bytes that nginx has of one client at a time.
constexpr std::size_t max_taken = 64 * 1024;

} // namespace

response_body *response_body::create(ngx_http_request_t *r) noexcept
{
    void *memory = ngx_palloc(r->pool, sizeof(response_body));
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(r->pool, 0);

    if (memory == nullptr || cleanup == nullptr) {
        return nullptr;
    }

    auto *created = new (memory) response_body(r);

    cleanup->handler = on_pool_cleanup;
    cleanup->data = created;
    return created;
}

void response_body::on_pool_cleanup(void *data)
{
    static_cast<response_body *>(data)->free_memory();
}

// The pool of a request frees nothing small before its end.
bool response_body::allocate(std::size_t size) noexcept
{
    auto *memory =
        static_cast<u_char *>(ngx_alloc(size, request_->connection->log));

    if (memory == nullptr) {
        return false;
    }

    buffer_ = {};
    buffer_.start = buffer_.pos = buffer_.last = memory;
    buffer_.end = memory + size;
    buffer_.memory = 1;
    buffer_.flush = 1;
    link_ = {&buffer_, nullptr};
    return true;
}

void response_body::free_memory() noexcept
{
    ngx_free(buffer_.start);
    buffer_ = {};
}

bool response_body::write(ngx_chain_t *chain) noexcept
{
    ngx_connection_t *c = request_->connection;

    if (c->error || ngx_http_output_filter(request_, chain) == NGX_ERROR) {
        c->error = 1;
        return false;
    }

    if (busy()) {
        c->write->ready = 0; // an event follows
    } else {
        free_memory();
    }

    return true;
}

ssize_t
response_body::send(std::span<const std::span<const std::byte>> pieces) noexcept
{
    std::size_t size = 0;

    if (busy()) {
        request_->connection->write->ready = 0;
        return 0;
    }

    for (const auto &piece : pieces) {
        size += piece.size();
    }

    size = std::min(size, max_taken);

    if (size == 0) {
        return 0;
    }

    if (!allocate(size)) {
        return NGX_ERROR;
    }

    for (const auto &piece : pieces) {
        const auto space = static_cast<std::size_t>(buffer_.end - buffer_.last);

        buffer_.last = ngx_cpymem(buffer_.last, piece.data(),
                                  std::min(piece.size(), space));
    }

    return write(&link_) ? static_cast<ssize_t>(size) : NGX_ERROR;
}

bool response_body::resume() noexcept
{
    const bool waits = busy() || request_->buffered != 0 ||
                       request_->connection->buffered != 0;

    return !waits || write(nullptr);
}

bool response_body::has_progressed() noexcept
{
    const off_t sent = request_->connection->sent;

    return std::exchange(sent_, sent) != sent;
}

ngx_int_t response_body::finish() noexcept
{
    return request_->connection->error || request_->connection->timedout
               ? NGX_ERROR
               : ngx_http_send_special(request_, NGX_HTTP_LAST);
}

} // namespace websocket::nginx
