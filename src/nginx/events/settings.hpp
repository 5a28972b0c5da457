// The parameters of `websocket http`: the location to which the events of its
// clients go, and how.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/core/parameters.hpp"

#include <cstdint>
#include <string_view>

namespace websocket::nginx::backend {

class event_queue;

enum class event_kind : std::uint8_t { connect, message, disconnect };

// In the configuration's memory.
struct settings {
    ngx_str_t pass;      // a URI without arguments, or the name of a location
    ngx_str_t pass_args; // of the URI
    std::uint8_t events; // a bit for each event_kind
    bool closes_on_error;
    ngx_msec_t timeout;
    ngx_uint_t concurrency; // of each worker

    // Names the location in all processes and, as long as its text stays the
    // same, in all configurations.
    std::uint32_t id;

    ngx_http_core_srv_conf_t *server; // of the location
    ngx_pool_t *pool;                 // of the configuration
    ngx_log_t *log;     // of the location; null before the first handshake
    event_queue *queue; // of this worker; null before the first event

    bool passes_to_name() const noexcept { return pass.data[0] == '@'; }
    bool sends(event_kind kind) const noexcept
    {
        return (events >> static_cast<unsigned>(kind) & 1) != 0;
    }
};

// "connect", "message" or "disconnect".
std::string_view name_of(event_kind kind) noexcept;

// Reads the parameters of the directive. Null: an error, which is logged.
settings *read_settings(ngx_conf_t *cf, parameter_list parameters) noexcept;

// The id of a location with this name and key, unless an earlier one has it.
std::uint32_t id_of(const settings &of, std::string_view location,
                    std::string_view key) noexcept;

// Once all locations are known: logs an error if there is no location of the
// name in `pass`.
bool check_pass(ngx_conf_t *cf, const settings &of) noexcept;

} // namespace websocket::nginx::backend
