// Finds out when each variable can be evaluated, and evaluates those that the
// access log of a released request needs.
#include "nginx/request/saved_variables.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/request/captures.hpp"
#include "nginx/request/log_variables.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include <dlfcn.h>

namespace websocket::nginx {

namespace {

// These change until the end, or depend only on what outlives the request or is
// saved anyway: the connection, the configuration, the request line.
// realpath_root would access the file system, and log a failure.
constexpr std::string_view names_at_end[] = {
    "args",
    "binary_remote_addr",
    "body_bytes_sent",
    "bytes_sent",
    "connection",
    "connection_requests",
    "connection_time",
    "date_gmt",
    "date_local",
    "document_root",
    "document_uri",
    "host",
    "hostname",
    "https",
    "is_args",
    "msec",
    "nginx_version",
    "pid",
    "pipe",
    "query_string",
    "realpath_root",
    "remote_addr",
    "remote_port",
    "request",
    "request_completion",
    "request_filename",
    "request_length",
    "request_method",
    "request_time",
    "request_uri",
    "scheme",
    "server_addr",
    "server_name",
    "server_port",
    "server_protocol",
    "status",
    "time_iso8601",
    "time_local",
    "uri",
};

constexpr std::string_view prefixes_at_end[] = {
    "arg_", "connections_", "proxy_protocol_", "ssl_", "tcpinfo_", "websocket_",
};

bool is_left_to_end(std::string_view name) noexcept
{
    return std::binary_search(std::begin(names_at_end), std::end(names_at_end),
                              name) ||
           std::any_of(
               std::begin(prefixes_at_end), std::end(prefixes_at_end),
               [name](auto prefix) { return name.starts_with(prefix); });
}

// True for variables of `set` and `auth_request_set`. nginx logs a warning if
// one is evaluated that was not set.
bool is_assigned(const ngx_http_variable_t &variable,
                 std::size_t index) noexcept
{
    return variable.data == index &&
           (variable.flags & NGX_HTTP_VAR_CHANGEABLE) != 0;
}

// Returns the base address of the library that contains a function or object;
// null if unknown.
const void *file_of(const void *address) noexcept
{
    Dl_info found;

    return dladdr(address, &found) != 0 ? found.dli_fbase : nullptr;
}

// True for variables of dynamic modules, which may only work in locations of
// their own.
bool is_foreign(const ngx_http_variable_t &variable) noexcept
{
    return file_of(reinterpret_cast<const void *>(variable.get_handler)) !=
           file_of(&ngx_http_core_module);
}

evaluation_time time_of(const ngx_http_variable_t &variable,
                        std::size_t index) noexcept
{
    return is_assigned(variable, index)          ? evaluation_time::never
           : is_left_to_end(view(variable.name)) ? evaluation_time::end
           : is_foreign(variable)                ? evaluation_time::if_logged
                                                 : evaluation_time::release;
}

std::span<const ngx_http_variable_t>
variables_of(const ngx_http_core_main_conf_t &core) noexcept
{
    return {static_cast<ngx_http_variable_t *>(core.variables.elts),
            core.variables.nelts};
}

bool is_known(const ngx_http_variable_value_t &value) noexcept
{
    return value.valid || value.not_found;
}

void reset(ngx_http_variable_value_t &value) noexcept
{
    value.valid = 0;
    value.not_found = 0;
}

// Evaluates each variable that the log uses once. The variables that a value
// depends on are those that have a value afterwards and had none before. The
// log needs those too. If one of them is evaluated at the end, so is the
// dependent one.
class evaluator {
public:
    evaluator(ngx_http_request_t *r,
              std::span<ngx_http_variable_value_t> values);

    void run() noexcept;

    std::vector<saved_variable> result() const;

private:
    enum class state : std::uint8_t { idle, pending, at_end, finished, unset };

    static state state_for(evaluation_time moment) noexcept
    {
        switch (moment) {
        case evaluation_time::end:
            return state::at_end;
        case evaluation_time::never:
            return state::unset;
        case evaluation_time::if_logged:
        case evaluation_time::release:
            break;
        }
        return state::idle;
    }

    void mark_used(std::size_t index) noexcept
    {
        if (states_[index] == state::idle) {
            states_[index] = state::pending;
        }
    }

    void mark_all_builtin() noexcept;
    bool mark_known() noexcept;
    void reset_unfinished() noexcept;
    void evaluate(std::size_t index) noexcept;

    ngx_http_request_t *request_;
    std::span<ngx_http_variable_value_t> values_;
    std::span<const evaluation_time> times_;
    std::vector<state> states_;
    std::vector<std::size_t> used_; // indices in formats and conditions
};

evaluator::evaluator(ngx_http_request_t *r,
                     std::span<ngx_http_variable_value_t> values)
    : request_{r}, values_{values}, times_{evaluation_times(r)},
      states_(values.size(), state::finished), used_{variables_of_log(r)}
{
    for (std::size_t i = 0; i != values_.size(); i++) {
        ngx_http_variable_value_t &value = values_[i];

        if (is_known(value) && !value.no_cacheable) {
            continue; // the access log would use this value too
        }

        states_[i] = state_for(times_[i]);
        reset(value);

        if (states_[i] == state::unset) {
            value = {}; // as nginx treats it
            value.valid = 1;
        }
    }
}

void evaluator::run() noexcept
{
    evaluate_log_paths(request_);
    (void)mark_known();
    reset_unfinished();
    std::for_each(used_.begin(), used_.end(), [this](auto i) { mark_used(i); });

    if (has_other_loggers(request_)) {
        mark_all_builtin();
    }

    for (bool asked = true; asked;) {
        asked = false;

        for (std::size_t i = 0; i != states_.size(); i++) {
            if (states_[i] == state::pending) {
                evaluate(i);
                asked = true;
            }
        }
    }
}

// The variables that other modules will use are unknown, so all are evaluated.
void evaluator::mark_all_builtin() noexcept
{
    for (std::size_t i = 0; i != states_.size(); i++) {
        if (times_[i] == evaluation_time::release) {
            mark_used(i);
        }
    }
}

// Marks the variables that were evaluated on the way as used. True if one of
// them is evaluated at the end.
bool evaluator::mark_known() noexcept
{
    bool of_end = false;

    for (std::size_t i = 0; i != states_.size(); i++) {
        if (is_known(values_[i])) {
            mark_used(i);
            of_end = of_end || states_[i] == state::at_end;
        }
    }

    return of_end;
}

void evaluator::reset_unfinished() noexcept
{
    for (std::size_t i = 0; i != states_.size(); i++) {
        if (states_[i] != state::finished && states_[i] != state::unset) {
            reset(values_[i]);
        }
    }
}

void evaluator::evaluate(std::size_t index) noexcept
{
    (void)ngx_http_get_indexed_variable(request_, index);

    if (!mark_known()) {
        states_[index] = state::finished;
        return;
    }

    // At the end its value may depend on other variables than now, and
    // variables evaluated on the way may depend on the same
    states_[index] = state::at_end;
    mark_all_builtin();
    reset_unfinished();
}

std::vector<saved_variable> evaluator::result() const
{
    std::vector<saved_variable> saved;

    for (std::size_t i = 0; i != states_.size(); i++) {
        const ngx_http_variable_value_t &value = values_[i];
        if (states_[i] == state::finished && value.valid && !value.not_found) {
            saved.push_back({i,
                             {reinterpret_cast<char *>(value.data), value.len},
                             saved_variable::kind::value});

        } else if (states_[i] == state::finished &&
                   times_[i] == evaluation_time::if_logged) {
            saved.push_back({i, {}, saved_variable::kind::absent});

        } else if (states_[i] == state::at_end &&
                   times_[i] == evaluation_time::release) {
            saved.push_back({i, {}, saved_variable::kind::at_end});
        }
    }

    return saved;
}

// Evaluates with a copy of the values, and with other captures if a regular
// expression matches.
void evaluate_in_copy(ngx_http_request_t *r, ngx_http_variable_value_t *values,
                      evaluator &all) noexcept
{
    const request_captures captures(r);
    ngx_http_variable_value_t *original = std::exchange(r->variables, values);

    all.run();
    r->variables = original;
}

} // namespace

ngx_int_t classify_variables(ngx_cycle_t *cycle)
{
    const auto *core = static_cast<ngx_http_core_main_conf_t *>(
        ngx_http_cycle_get_module_main_conf(cycle, ngx_http_core_module));
    auto *conf = static_cast<main_configuration *>(
        ngx_http_cycle_get_module_main_conf(cycle, ngx_http_websocket_module));

    if (core == nullptr || conf == nullptr) {
        return NGX_OK; // no `http` block
    }

    const auto variables = variables_of(*core);
    auto *times = static_cast<evaluation_time *>(
        ngx_pnalloc(cycle->pool, variables.size() * sizeof(evaluation_time)));

    if (times == nullptr) {
        return NGX_ERROR;
    }

    for (std::size_t i = 0; i != variables.size(); i++) {
        times[i] = time_of(variables[i], i);
    }

    conf->evaluation_times = times;
    return NGX_OK;
}

std::span<const evaluation_time>
evaluation_times(ngx_http_request_t *r) noexcept
{
    const auto *core = static_cast<ngx_http_core_main_conf_t *>(
        ngx_http_get_module_main_conf(r, ngx_http_core_module));
    const auto *conf = static_cast<main_configuration *>(
        ngx_http_get_module_main_conf(r, ngx_http_websocket_module));

    return {conf->evaluation_times, core->variables.nelts};
}

std::vector<saved_variable> evaluate_variables(ngx_http_request_t *r)
{
    const std::size_t count = evaluation_times(r).size();
    auto *copy = static_cast<ngx_http_variable_value_t *>(
        ngx_palloc(r->pool, count * sizeof(ngx_http_variable_value_t)));

    if (copy == nullptr) {
        throw std::bad_alloc{};
    }

    std::copy_n(r->variables, count, copy);
    evaluator all(r, {copy, count});

    evaluate_in_copy(r, copy, all);
    return all.result();
}

} // namespace websocket::nginx
