// Assembles the body of a request from its buffers and temporary file.
#include "nginx/request/body.hpp"

#include "nginx/core/log_line.hpp"

namespace websocket::nginx {

namespace {

ngx_chain_t *pieces_of(const ngx_http_request_t *r) noexcept
{
    return r->request_body == nullptr ? nullptr : r->request_body->bufs;
}

// Reads the part of the body that is in the file. Null on failure.
u_char *append_file(u_char *end, const ngx_buf_t &piece) noexcept
{
    off_t at = piece.file_pos;

    while (at != piece.file_last) {
        const ssize_t read = ngx_read_file(
            piece.file, end, static_cast<size_t>(piece.file_last - at), at);

        if (read <= 0) {
            write_log(NGX_LOG_ERR, piece.file->log,
                      "websocket: the request body is incomplete: \"%V\" ends "
                      "at byte %O",
                      piece.file->name, at);
            return nullptr;
        }

        at += read;
        end += read;
    }

    return end;
}

u_char *append_piece(u_char *end, const ngx_buf_t &piece) noexcept
{
    return ngx_buf_in_memory(&piece)
               ? ngx_cpymem(end, piece.pos, piece.last - piece.pos)
               : append_file(end, piece);
}

} // namespace

bool body_is_whole(const ngx_http_request_t *r) noexcept
{
    const auto &in = r->headers_in;

    if (r != r->main && r->request_body == nullptr) {
        return true; // with mirror_request_body off it has no body
    }

    if (r->discard_body || r->reading_body ||
        (in.chunked && r->request_body == nullptr)) {
        return false;
    }

    // nginx subtracts discarded bytes from content_length_n, and adds chunks as
    // they arrive
    const off_t announced = in.content_length != nullptr && !in.chunked
                                ? ngx_atoof(in.content_length->value.data,
                                            in.content_length->value.len)
                                : in.content_length_n;

    return announced < 0 || announced == body_size(r);
}

off_t body_size(const ngx_http_request_t *r) noexcept
{
    off_t size = 0;

    for (const ngx_chain_t *at = pieces_of(r); at != nullptr; at = at->next) {
        size += ngx_buf_size(at->buf);
    }

    return size;
}

std::optional<std::span<const std::byte>>
whole_body(ngx_http_request_t *r) noexcept
{
    const auto size = static_cast<size_t>(body_size(r));
    const ngx_chain_t *first = pieces_of(r);

    if (size == 0) {
        return std::span<const std::byte>{};
    }

    if (first->next == nullptr && ngx_buf_in_memory(first->buf)) {
        return bytes_between(first->buf->pos, first->buf->last);
    }

    auto *copy = static_cast<u_char *>(ngx_pnalloc(r->pool, size));
    u_char *end = copy;

    for (auto *at = first; at != nullptr && end != nullptr; at = at->next) {
        end = append_piece(end, *at->buf);
    }

    if (end == nullptr) {
        return std::nullopt;
    }

    return bytes_between(copy, end);
}

} // namespace websocket::nginx
