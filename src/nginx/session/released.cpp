// A session without its HTTP request: the directive websocket_request release.
#include "nginx/session/session.hpp"

#include "nginx/core/log_line.hpp"
#include "nginx/request/release.hpp"

#include <new>

namespace websocket::nginx {

namespace {

using saved_field = saved_request::field;

// Adds a field to a line of the error log, unless it has no text.
void add_field(u_char *&at, const u_char *end, const char *label,
               std::string_view text) noexcept
{
    if (text.data() != nullptr) {
        clean_unquoted cleaned(text);

        at = ngx_slprintf(at, const_cast<u_char *>(end), ", %s: \"%V\"", label,
                          cleaned.get());
    }
}

} // namespace

std::string_view session::key() const noexcept
{
    return request_part_ != nullptr ? view(request_part_->key)
                                    : saved_->text(saved_field::key);
}

std::string_view session::uri() const noexcept
{
    return request() != nullptr ? view(request()->uri)
                                : saved_->text(saved_field::uri);
}

std::string_view session::args() const noexcept
{
    return request() != nullptr ? view(request()->args)
                                : saved_->text(saved_field::args);
}

std::optional<std::string_view>
session::variable(std::string_view name) const noexcept
{
    if (request() == nullptr) {
        return std::nullopt;
    }

    variable_reader *&variables = request_part_->variables;

    if (variables == nullptr) {
        variables = new (std::nothrow) variable_reader;
    }

    return variables == nullptr ? std::nullopt
                                : variables->read(request(), name);
}

// Adds the same context to lines of the error log as nginx does with a request.
u_char *session::on_log(ngx_log_t *log, u_char *buffer, std::size_t size)
{
    const auto *context = static_cast<ngx_http_log_ctx_t *>(log->data);
    ngx_connection_t *c = context->connection;
    const saved_request &saved = *static_cast<session *>(c->data)->saved_;
    u_char *end = buffer + size;
    u_char *at = buffer;

    if (log->action != nullptr) {
        at = ngx_slprintf(at, end, " while %s", log->action);
    }

    at = ngx_slprintf(at, end, ", client: %V, server: %V", &c->addr_text,
                      &saved.server_name());
    add_field(at, end, "request", saved.text(saved_field::request_line));
    add_field(at, end, "host", saved.text(saved_field::host));
    add_field(at, end, "referrer", saved.text(saved_field::referer));
    return at;
}

// Releases the request, if configured and possible. Must be called after
// client_connected(), when no input is left in the request's buffer.
void session::release_request() noexcept
{
    constexpr session_cleanups cleanups{on_request_cleanup, on_pool_cleanup};

    if (phase_ != phase::open || !conf_.releases_requests()) {
        return;
    }

    const char *reason = retention_reason(request(), cleanups);

    if (reason == nullptr) {
        const variable_reader *variables = request_part_->variables;

        saved_ =
            saved_request::create(request(), key(), negotiated_.subprotocol);

        if (saved_ && free_request(request(), cleanups)) {
            delete variables; // the request referred to them
            detach_request();
            return;
        }

        saved_.reset();
        reason = "no memory to save it";
    }

    // Without --with-debug this line is not compiled
    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, connection_->log, 0,
                   "websocket: the request is kept: %s", reason);
}

void session::detach_request() noexcept
{
    ngx_connection_t *c = connection_;

    negotiated_.subprotocol = saved_->text(saved_field::subprotocol);
    request_part_ = nullptr;

    c->data = this;
    c->log->handler = on_log;
    c->log->action = const_cast<char *>(log_action());
    install_handlers();

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "websocket: the request is released");
}

// Recreates the request, so that nginx can write its line of the access log.
void session::finish_without_request() noexcept
{
    ngx_connection_t *c = connection_;

    c->log->handler = saved_->log_handler();

    if (ngx_http_request_t *r = saved_->recreate_request(c); r != nullptr) {
        ngx_http_set_ctx(r, this, ngx_http_websocket_module);
        log_and_free(r);

    } else {
        write_log(NGX_LOG_ERR, c->log,
                  "websocket: no memory for the access log line of \"%V\", "
                  "client %uL",
                  saved_->text(saved_field::request_line), id());
    }

    destroy();
    c->data = nullptr;
    ngx_http_close_connection(c);
}

} // namespace websocket::nginx
