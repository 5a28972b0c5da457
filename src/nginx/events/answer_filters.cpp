// Reads the answers to events: the filters before all of nginx's own, so that
// nothing is added to an answer, compressed or changed.
#include "nginx/events/answer_filters.hpp"

#include "nginx/events/event_request.hpp"
#include "nginx/core/log_line.hpp"

#include <algorithm>
#include <array>
#include <new>

namespace websocket::nginx::backend {

namespace {

ngx_http_output_header_filter_pt next_answer_header_filter;
ngx_http_output_body_filter_pt next_answer_body_filter;

// The fields of an answer that are used.
constexpr std::array<std::string_view, 8> used_fields{
    "websocket-protocol", "websocket-state", "websocket-close",
    "set-cookie",         "location",        "www-authenticate",
    "retry-after",        "websocket-user",
};

bool is_used(std::string_view name) noexcept
{
    return std::any_of(used_fields.begin(), used_fields.end(),
                       [name](auto each) { return is_same_name(name, each); });
}

// Null, if the response is not the one to an event: those of subrequests are
// read by the modules that made them.
event_request *event_answered_by(ngx_http_request_t *r) noexcept
{
    return r == r->main ? event_request::of(r) : nullptr;
}

ngx_int_t answer_header_filter(ngx_http_request_t *r)
{
    event_request *event = event_answered_by(r);

    return event == nullptr ? next_answer_header_filter(r)
                            : event->read_header(r);
}

ngx_int_t answer_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    event_request *event = event_answered_by(r);

    return event == nullptr ? next_answer_body_filter(r, in)
                            : event->read_body(in);
}

// Whether the last server was sent the request, but has sent no whole header.
bool is_answer_lost(const ngx_http_request_t *r) noexcept
{
    if (r->upstream_states == nullptr || r->upstream_states->nelts == 0) {
        return false;
    }

    const auto &last = static_cast<ngx_http_upstream_state_t *>(
        r->upstream_states->elts)[r->upstream_states->nelts - 1];

    return last.bytes_sent > 0 &&
           last.header_time == static_cast<ngx_msec_t>(-1);
}

// Throws std::bad_alloc.
std::string read_file(const ngx_buf_t &buffer)
{
    std::string bytes(
        static_cast<std::size_t>(buffer.file_last - buffer.file_pos), '\0');
    const ssize_t size = ngx_read_file(buffer.file, borrowed(bytes).data,
                                       bytes.size(), buffer.file_pos);

    bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    return bytes;
}

} // namespace

const answer::field *answer::find(std::string_view name) const noexcept
{
    const auto found =
        std::find_if(fields.begin(), fields.end(), [name](const auto &each) {
            return is_same_name(each.name, name);
        });

    return found == fields.end() ? nullptr : &*found;
}

ngx_int_t event_request::read_header(ngx_http_request_t *r) noexcept
try {
    const auto &out = r->headers_out;

    if (answer_.result != answer::outcome::unfinished) {
        return NGX_ERROR;
    }

    // As nginx's last filter does
    r->header_sent = 1;
    r->header_only = r->header_only || out.status == NGX_HTTP_NO_CONTENT ||
                     out.status == NGX_HTTP_NOT_MODIFIED;

    answer_.status = out.status;
    answer_.lost = is_answer_lost(r);
    answer_.content_type = view(out.content_type);
    answer_.fields.clear();

    each_header(out.headers, [this](const ngx_table_elt_t &header) {
        if (header.hash != 0 && is_used(view(header.key))) {
            answer_.fields.push_back({std::string(view(header.key)),
                                      std::string(view(header.value))});
        }
    });

    if (r->header_only) {
        answer_.result = answer::outcome::whole;
    }

    return NGX_OK;

} catch (const std::bad_alloc &) {
    answer_.result = answer::outcome::no_memory;
    return NGX_ERROR;
}

// Throws std::bad_alloc.
void event_request::append(const ngx_buf_t &buffer)
{
    const auto size = static_cast<std::size_t>(ngx_buf_size(&buffer));

    if (size > max_body_ - answer_.body.size()) {
        answer_.result = answer::outcome::too_large;
        answer_.body.clear();

    } else if (ngx_buf_in_memory(&buffer)) {
        answer_.body += as_text(bytes_between(buffer.pos, buffer.last));

    } else if (buffer.in_file) {
        answer_.body += read_file(buffer);
    }
}

ngx_int_t event_request::read_body(ngx_chain_t *in) noexcept
try {
    for (; in != nullptr; in = in->next) {
        ngx_buf_t &buffer = *in->buf;

        if (answer_.result != answer::outcome::unfinished) {
            return answer_.result == answer::outcome::whole ? NGX_OK
                                                            : NGX_ERROR;
        }

        append(buffer);
        buffer.pos = buffer.last;
        buffer.file_pos = buffer.file_last;

        if (buffer.last_buf && answer_.result == answer::outcome::unfinished) {
            answer_.result = answer::outcome::whole;
        }
    }

    return answer_.result == answer::outcome::too_large ? NGX_ERROR : NGX_OK;

} catch (const std::bad_alloc &) {
    answer_.result = answer::outcome::no_memory;
    return NGX_ERROR;
}

void install_answer_filters() noexcept
{
    next_answer_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = answer_header_filter;
    next_answer_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = answer_body_filter;
}

} // namespace websocket::nginx::backend
