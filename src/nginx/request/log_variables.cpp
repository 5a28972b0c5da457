// Reads the configuration of nginx's access log module.
#include "nginx/request/log_variables.hpp"

#include <cstdint>
#include <span>

extern "C" {
extern ngx_module_t ngx_http_log_module;
}

namespace websocket::nginx {

namespace {

// nginx declares these types only in its module. They are the same from 1.7 to
// 1.31. t/session/test_release_log.py fails if they differ.
struct access_log_operation {
    std::size_t fixed_size; // 0: a variable
    std::size_t (*size)(ngx_http_request_t *r, std::uintptr_t data);
    void (*write)();
    std::uintptr_t data; // the variable's index
};

struct access_log_format {
    ngx_str_t name;
    ngx_array_t *flushes;
    ngx_array_t *operations;
};

struct access_log_path {
    ngx_array_t *lengths;
    ngx_array_t *values;
};

struct access_log_target {
    ngx_open_file_t *file;
    access_log_path *path; // null without variables
    time_t disk_full_time;
    time_t error_log_time;
    void *syslog_peer;
    access_log_format *format;
    ngx_http_complex_value_t *condition;
};

struct access_log_configuration {
    ngx_array_t *targets;
    void *open_file_cache;
    time_t open_file_cache_valid;
    ngx_uint_t open_file_cache_min_uses;
    ngx_uint_t off;
};

template <class T>
std::span<T> elements_of(const ngx_array_t *array) noexcept
{
    return array == nullptr
               ? std::span<T>{}
               : std::span{static_cast<T *>(array->elts), array->nelts};
}

std::span<const access_log_target>
access_logs_of(const ngx_http_request_t *r) noexcept
{
    const auto *conf = static_cast<access_log_configuration *>(
        ngx_http_get_module_loc_conf(r, ngx_http_log_module));

    return conf->off ? std::span<const access_log_target>{}
                     : elements_of<const access_log_target>(conf->targets);
}

void add_log_condition(std::vector<std::size_t> &found,
                       const ngx_http_complex_value_t *condition)
{
    if (condition == nullptr || condition->flushes == nullptr) {
        return;
    }

    constexpr auto end = static_cast<ngx_uint_t>(-1);

    for (const ngx_uint_t *at = condition->flushes; *at != end; at++) {
        found.push_back(*at);
    }
}

} // namespace

std::vector<std::size_t> variables_of_log(const ngx_http_request_t *r)
{
    std::vector<std::size_t> found;

    for (const access_log_target &target : access_logs_of(r)) {
        add_log_condition(found, target.condition);

        if (target.format == nullptr) {
            continue;
        }

        for (const access_log_operation &each :
             elements_of<const access_log_operation>(
                 target.format->operations)) {
            if (each.fixed_size == 0 && each.size != nullptr) {
                found.push_back(each.data);
            }
        }
    }

    return found;
}

void evaluate_log_paths(ngx_http_request_t *r) noexcept
{
    for (const access_log_target &target : access_logs_of(r)) {
        ngx_str_t path;

        if (target.path != nullptr) {
            (void)ngx_http_script_run(r, &path, target.path->lengths->elts, 1,
                                      target.path->values->elts);
        }
    }
}

// One handler is that of the access log itself.
bool has_other_loggers(const ngx_http_request_t *r) noexcept
{
    const auto *core = static_cast<ngx_http_core_main_conf_t *>(
        ngx_http_get_module_main_conf(r, ngx_http_core_module));

    return core->phases[NGX_HTTP_LOG_PHASE].handlers.nelts > 1;
}

} // namespace websocket::nginx
