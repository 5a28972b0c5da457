// The captures of a request's last regular expression: $1 and so on.
#pragma once

#include "nginx/core/nginx_headers.hpp"

namespace websocket::nginx {

// While it exists, regular expressions that match do not overwrite the captures
// of the request.
class request_captures {
public:
#if (NGX_PCRE)
    explicit request_captures(ngx_http_request_t *r) noexcept
        : request_{r}, captures_{r->captures}, data_{r->captures_data},
          count_{r->ncaptures}
    {
        r->realloc_captures = 1;
    }

    ~request_captures()
    {
        request_->captures = captures_;
        request_->captures_data = data_;
        request_->ncaptures = count_;
    }
#else
    explicit request_captures(ngx_http_request_t *) noexcept
    {}
    ~request_captures()
    {}
#endif

    request_captures(const request_captures &) = delete;
    request_captures &operator=(const request_captures &) = delete;

private:
#if (NGX_PCRE)
    ngx_http_request_t *request_;
    int *captures_;
    u_char *data_;
    ngx_uint_t count_;
#endif
};

} // namespace websocket::nginx
