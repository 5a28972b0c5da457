// Frees the HTTP request of a connection that continues without it.
#include "nginx/request/release.hpp"

// The nginx that loads this module may have been built without them.
extern "C" {
extern ngx_module_t ngx_http_realip_module __attribute__((weak));
}
#if (NGX_STAT_STUB)
#pragma weak ngx_stat_requests
#endif

namespace websocket::nginx {

namespace {

struct client_address {
    sockaddr *socket;
    socklen_t size;
    ngx_str_t text;
};

// The cleanup of realip, which would restore the original address of the
// connection.
bool is_realip_cleanup(ngx_http_request_t *r,
                       const ngx_pool_cleanup_t &cleanup) noexcept
{
    return &ngx_http_realip_module != nullptr && cleanup.data != nullptr &&
           cleanup.data == ngx_http_get_module_ctx(r, ngx_http_realip_module);
}

bool has_realip_address(ngx_http_request_t *r) noexcept
{
    for (const auto *at = r->pool->cleanup; at != nullptr; at = at->next) {
        if (at->handler != nullptr && is_realip_cleanup(r, *at)) {
            return true;
        }
    }

    return false;
}

// Returns the client's address in memory of the connection's pool. `socket` is
// null without memory.
client_address persistent_address(ngx_http_request_t *r) noexcept
{
    ngx_connection_t *c = r->connection;
    client_address address{c->sockaddr, c->socklen, c->addr_text};

    if (has_realip_address(r)) { // the text is in that pool already
        address.socket =
            static_cast<sockaddr *>(ngx_pcalloc(c->pool, address.size));

        if (address.socket != nullptr) {
            ngx_memcpy(address.socket, c->sockaddr, address.size);
        }
    }

    return address;
}

bool has_foreign_cleanup(ngx_http_request_t *r,
                         const session_cleanups &session) noexcept
{
    for (const auto *at = r->cleanup; at != nullptr; at = at->next) {
        if (at->handler != nullptr && at->handler != session.of_request) {
            return true;
        }
    }

    for (const auto *at = r->pool->cleanup; at != nullptr; at = at->next) {
        if (at->handler != nullptr && at->handler != session.of_pool &&
            at->handler != ngx_pool_cleanup_file &&
            at->handler != ngx_pool_delete_file && !is_realip_cleanup(r, *at)) {
            return true;
        }
    }

    return false;
}

void remove_cleanups(ngx_http_request_t *r,
                     const session_cleanups &session) noexcept
{
    for (auto *at = r->cleanup; at != nullptr; at = at->next) {
        if (at->handler == session.of_request) {
            at->handler = nullptr;
        }
    }

    for (auto *at = r->pool->cleanup; at != nullptr; at = at->next) {
        if (at->handler == session.of_pool) {
            at->handler = nullptr;
        }
    }
}

void free_chain(ngx_pool_t *pool, ngx_chain_t *chain) noexcept
{
    while (chain != nullptr) {
        ngx_chain_t *link = chain;

        chain = chain->next;
        ngx_pfree(pool, link->buf->start);
        ngx_free_chain(pool, link);
    }
}

void free_buffers(ngx_connection_t *c, ngx_http_connection_t *hc) noexcept
{
    ngx_buf_t *b = c->buffer;

    if (b != nullptr) {
        ngx_pfree(c->pool, b->start); // does nothing if it is part of the pool
        b->start = b->pos = b->last = b->end = nullptr;
    }

    free_chain(c->pool, hc->free);
    free_chain(c->pool, hc->busy);
    hc->free = nullptr;
    hc->busy = nullptr;
    hc->nbusy = 0;
}

} // namespace

const char *retention_reason(ngx_http_request_t *r,
                             const session_cleanups &session) noexcept
{
    const auto *core = static_cast<ngx_http_core_loc_conf_t *>(
        ngx_http_get_module_loc_conf(r, ngx_http_core_module));

    if (r->count != 1 || r->blocked != 0 || r->connection->data != r ||
        r->posted_requests != nullptr || r->postponed != nullptr) {
        return "nginx still processes it";
    }

    if (r->http_version >= NGX_HTTP_VERSION_20) {
        return "it shares a connection";
    }

    if (r->request_body != nullptr) {
        return "it has a body";
    }

    if (core->post_action.data != nullptr) {
        return "a post_action follows it";
    }

    return has_foreign_cleanup(r, session)
               ? "another module has a cleanup handler"
               : nullptr;
}

bool free_request(ngx_http_request_t *r,
                  const session_cleanups &session) noexcept
{
    ngx_connection_t *c = r->connection;
    ngx_http_connection_t *hc = r->http_connection;
    const client_address address = persistent_address(r);

    if (address.socket == nullptr) {
        return false;
    }

    remove_cleanups(r, session);
    r->logged = 1; // the line is written at the end
    ngx_http_free_request(r, 0);
    free_buffers(c, hc);

    c->sockaddr = address.socket;
    c->socklen = address.size;
    c->addr_text = address.text;
    c->destroyed = 0;
    return true;
}

void log_and_free(ngx_http_request_t *r) noexcept
{
#if (NGX_STAT_STUB)
    if (&ngx_stat_requests != nullptr) {
        // it was counted before
        (void)ngx_atomic_fetch_add(ngx_stat_requests, -1);
    }
#endif

    ngx_http_free_request(r, 0);
}

} // namespace websocket::nginx
