// TLS to Redis with nginx's OpenSSL: the context of a configuration, and the
// handshake of a connection.
#pragma once

#include "nginx/core/redis_settings.hpp"

#include <string>
#include <string_view>

namespace websocket::nginx {

// Paths, relative to that of the configuration; empty: none.
struct tls_files {
    ngx_str_t ca{}; // without it the system's authorities are trusted
    ngx_str_t certificate{};
    ngx_str_t key{};
};

// Creates a context that lives as long as the configuration. Returns the reason
// of a failure, or an empty text. Throws std::bad_alloc.
std::string create_tls(ngx_conf_t *cf, const tls_files &files,
                       ngx_ssl_t *&created);

// Calls the handler now or later, when the handshake has ended. False: it has
// failed at once.
bool start_handshake(ngx_connection_t *c, const redis_settings &settings,
                     const std::string &server_name,
                     void (*handler)(ngx_connection_t *)) noexcept;

// Why TLS cannot be used after the handshake; empty: it can. Throws
// std::bad_alloc. `log_error` is the last error of nginx's log.
std::string handshake_fault(ngx_connection_t *c, const redis_settings &settings,
                            const std::string &server_name,
                            std::string_view log_error);

// Frees what a connection with TLS has, before it is closed.
void end_tls(ngx_connection_t *c) noexcept;

} // namespace websocket::nginx
