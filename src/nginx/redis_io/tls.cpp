// Creates contexts of TLS, performs handshakes and verifies certificates.
#include "nginx/redis_io/tls.hpp"

#include "nginx/redis_io/captured_log.hpp"

#include <utility>

namespace websocket::nginx {

#if (NGX_SSL)

namespace {

// Certificates between that of the server and that of an authority.
constexpr ngx_int_t max_depth = 10;

// The peer's certificate is verified after the handshake, as nginx does.
// Without a callback of nginx the result is the first error, not the last one.
bool load_files(ngx_conf_t *cf, ngx_ssl_t *ssl, tls_files files) noexcept
{
    if (files.ca.len == 0) {
        (void)SSL_CTX_set_default_verify_paths(ssl->ctx);

    } else if (ngx_ssl_trusted_certificate(cf, ssl, &files.ca, max_depth) !=
               NGX_OK) {
        return false;
    }

    SSL_CTX_set_verify(ssl->ctx, SSL_VERIFY_NONE, nullptr);

    return files.certificate.len == 0 ||
           ngx_ssl_certificate(cf, ssl, &files.certificate, &files.key,
                               nullptr) == NGX_OK;
}

// Logs to the log of `ssl`.
bool set_up(ngx_conf_t *cf, ngx_ssl_t *ssl, const tls_files &files) noexcept
{
    if (ngx_ssl_create(ssl, NGX_SSL_TLSv1_2 | NGX_SSL_TLSv1_3, nullptr) !=
        NGX_OK) {
        return false;
    }

    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(cf->pool, 0);

    if (cleanup == nullptr) {
        ngx_ssl_cleanup_ctx(ssl);
        return false;
    }

    cleanup->handler = ngx_ssl_cleanup_ctx;
    cleanup->data = ssl;

    // Commands that follow may move those that the socket did not accept
    SSL_CTX_set_mode(ssl->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                   SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return load_files(cf, ssl, files);
}

bool is_address(const std::string &name) noexcept
{
    const ngx_str_t text = borrowed(name);

    return name.find(':') != name.npos ||
           ngx_inet_addr(text.data, text.len) != INADDR_NONE;
}

bool has_name(ngx_connection_t *c, const std::string &name) noexcept
{
    ngx_str_t text = borrowed(name);

    if (!is_address(name)) {
        return ngx_ssl_check_host(c, &text) == NGX_OK;
    }

    X509 *certificate = SSL_get_peer_certificate(c->ssl->connection);
    const bool found = certificate != nullptr &&
                       X509_check_ip_asc(certificate, name.c_str(), 0) == 1;

    X509_free(certificate);
    return found;
}

std::string certificate_fault(ngx_connection_t *c, const std::string &name)
{
    switch (const long result = SSL_get_verify_result(c->ssl->connection)) {
    case X509_V_OK:
        return has_name(c, name)
                   ? std::string{}
                   : "its certificate is not for the name \"" + name + '"';

    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "its certificate has expired";

    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "its certificate is not yet valid";

    default:
        return std::string("its certificate is not trusted: ") +
               X509_verify_cert_error_string(result);
    }
}

// As for nginx's upstreams: RFC 6066 3 permits no addresses.
bool set_server_name(ngx_connection_t *c, const std::string &name) noexcept
{
    return is_address(name) ||
           SSL_set_tlsext_host_name(c->ssl->connection, name.c_str()) == 1;
}

} // namespace

std::string create_tls(ngx_conf_t *cf, const tls_files &files,
                       ngx_ssl_t *&created)
{
    auto *ssl =
        static_cast<ngx_ssl_t *>(ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t)));
    captured_log log;

    if (ssl == nullptr) {
        return "no memory";
    }

    // nginx writes errors of a log also to the standard error
    const ngx_uint_t use_stderr = std::exchange(ngx_use_stderr, 0);

    ssl->log = log.get();
    created = set_up(cf, ssl, files) ? ssl : nullptr;
    ssl->log = cf->log;
    ngx_use_stderr = use_stderr;

    return created != nullptr    ? std::string{}
           : log.error().empty() ? "no memory"
                                 : std::string(log.error());
}

bool start_handshake(ngx_connection_t *c, const redis_settings &settings,
                     const std::string &server_name,
                     void (*handler)(ngx_connection_t *)) noexcept
{
    c->pool = ngx_create_pool(1024, c->log);

    if (c->pool == nullptr ||
        ngx_ssl_create_connection(settings.tls, c,
                                  NGX_SSL_BUFFER | NGX_SSL_CLIENT) != NGX_OK ||
        !set_server_name(c, server_name)) {
        return false;
    }

    if (ngx_ssl_handshake(c) == NGX_AGAIN) {
        c->ssl->handler = handler;
    } else {
        handler(c);
    }

    return true;
}

std::string handshake_fault(ngx_connection_t *c, const redis_settings &settings,
                            const std::string &server_name,
                            std::string_view log_error)
{
    if (!c->ssl->handshaked) {
        return log_error.empty() ? "TLS handshake failed"
                                 : std::string(log_error);
    }

    return settings.verify ? certificate_fault(c, server_name) : std::string{};
}

void end_tls(ngx_connection_t *c) noexcept
{
    if (c->ssl != nullptr) {
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = 1;
        (void)ngx_ssl_shutdown(c);
    }
}

#else

std::string create_tls(ngx_conf_t *, const tls_files &, ngx_ssl_t *&)
{
    return "nginx was built without OpenSSL";
}

bool start_handshake(ngx_connection_t *, const redis_settings &,
                     const std::string &, void (*)(ngx_connection_t *)) noexcept
{
    return false;
}

std::string handshake_fault(ngx_connection_t *, const redis_settings &,
                            const std::string &, std::string_view)
{
    return {};
}

void end_tls(ngx_connection_t *) noexcept
{}

#endif

} // namespace websocket::nginx
