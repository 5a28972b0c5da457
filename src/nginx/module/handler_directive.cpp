// The directives `websocket` and `websocket_publish`: a location's handler, key
// and parameters.
#include "nginx/backend/handler.hpp"
#include "nginx/events/settings.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/module/content_handlers.hpp"
#include "nginx/module/setters.hpp"
#include "nginx/plugin/loader.hpp"
#include "nginx/publish/publish.hpp"
#include "nginx/resource/resource.hpp"
#include "nginx/upgrade/upgrade.hpp"

#include <new>
#include <string>
#include <string_view>

namespace websocket::nginx {

namespace {

// A parameter is a name, "=", and a value; any other argument may be a key.
// Returns 0 for those.
size_t parameter_name_length(std::string_view argument) noexcept
{
    constexpr std::string_view name = "abcdefghijklmnopqrstuvwxyz_";
    const size_t end = argument.find_first_not_of(name);

    return end != argument.npos && argument[end] == '=' ? end : 0;
}

// Reads the parameters "client" and "user" of websocket_publish, and removes
// them from `rest`. False: one is wrong, or there is no memory.
bool read_addresses(ngx_conf_t *cf, std::span<ngx_str_t> &rest,
                    location_configuration &location)
{
    std::size_t kept = 0;

    for (ngx_str_t &each : rest) {
        const std::string_view text = view(each);
        const std::size_t name = parameter_name_length(text);
        ngx_http_complex_value_t **value =
            text.substr(0, name) == "client" ? &location.to_client
            : text.substr(0, name) == "user" ? &location.to_user
                                             : nullptr;

        if (value == nullptr) {
            rest[kept++] = each;
            continue;
        }

        ngx_str_t given = borrowed(text.substr(name + 1));

        if (*value != nullptr || given.len == 0) {
            invalid_value(cf, each, "one value that is not empty");
            return false;
        }

        *value = compile_value(cf, given);

        if (*value == nullptr) {
            return false;
        }

        main_conf(cf)->has_addresses = true;
    }

    rest = rest.first(kept);
    return true;
}

bool set_parameters(ngx_conf_t *cf, std::span<ngx_str_t> texts,
                    location_configuration &location)
{
    location.parameters = read_parameters(cf, texts, nullptr);
    return location.parameters != nullptr;
}

bool check_parameters(ngx_conf_t *cf, const location_configuration &location,
                      broker::limits &history)
{
    const std::string error =
        resource::check(location.handler, parameters_of(location), history);

    if (!error.empty()) {
        conf_error(cf,
                   "invalid parameters of handler \"%s\" in \"%V\" "
                   "directive: %s",
                   location.handler->name, &arguments(cf)[0], error.c_str());
    }

    return error.empty();
}

bool set_handler(ngx_conf_t *cf, location_configuration &location)
{
    const auto args = arguments(cf);

    location.handler = find_handler(cf, view(args[1]));

    if (location.handler == nullptr) {
        conf_error(cf,
                   "unknown handler \"%V\" in \"%V\" directive; available: %s",
                   &args[1], &args[0], handler_names(cf).c_str());
    }

    return location.handler != nullptr;
}

// Reads the parameters of `websocket http`.
bool set_backend(ngx_conf_t *cf, location_configuration &location)
{
    if (location.handler != &backend::http_handler) {
        return true;
    }

    location.backend = backend::read_settings(cf, parameters_of(location));
    return location.backend != nullptr;
}

// Only one of the three directives may be in a location.
char *conflict(ngx_conf_t *cf, const location_configuration &location,
               bool publishes)
{
    if (location.status != 0) {
        return conflicts_with_status(cf);
    }

    if (location.publishes == publishes) {
        return duplicate();
    }

    return conf_error(cf, "\"websocket\" directive conflicts with "
                          "\"websocket_publish\" in the same location; use "
                          "separate locations");
}

// Adds the location to those of the configuration once its directive is read.
char *add_location(ngx_conf_t *cf, location_configuration &location,
                   const broker::limits &history)
{
    auto *clcf = static_cast<ngx_http_core_loc_conf_t *>(
        ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
    main_configuration &main = *main_conf(cf);

    if (main.locations == nullptr) {
        main.locations =
            ngx_array_create(cf->pool, 8, sizeof(handler_location));
    }

    auto *slot =
        main.locations == nullptr
            ? nullptr
            : static_cast<handler_location *>(ngx_array_push(main.locations));

    location.terms = static_cast<resource_settings *>(
        ngx_pcalloc(cf->pool, sizeof(resource_settings)));

    if (slot == nullptr || location.terms == nullptr) {
        return conf_failed();
    }

    *slot = {{.history = history,
              .key = location.key == nullptr ? clcf->name : location.key->value,
              .file = cf->conf_file->file.name,
              .line = cf->conf_file->line},
             &location,
             clcf->name};
    main.zone_needed = true;
    return set_content_handler(cf, content_handler_of(location))
               ? NGX_CONF_OK
               : conf_failed();
}

} // namespace

ngx_array_t *read_parameters(ngx_conf_t *cf, std::span<ngx_str_t> texts,
                             const named_value *first) noexcept
{
    ngx_array_t *read =
        ngx_array_create(cf->pool, texts.size() + 1, sizeof(named_value));

    if (read == nullptr) {
        return nullptr;
    }

    if (first != nullptr) {
        new (ngx_array_push(read)) named_value(*first);
    }

    for (ngx_str_t &each : texts) {
        const std::string_view text = view(each);
        const size_t length = parameter_name_length(text);

        if (length == 0) {
            invalid_value(cf, each, "parameters like \"name=value\"");
            return nullptr;
        }

        // There is memory for all
        new (ngx_array_push(read))
            named_value{text.substr(0, length), text.substr(length + 1)};
    }

    return read;
}

ngx_http_handler_pt
content_handler_of(const location_configuration &location) noexcept
{
    return location.publishes ? publish_handler : upgrade_handler;
}

char *set_websocket(ngx_conf_t *cf, ngx_command_t *, void *conf)
try {
    auto &location = *static_cast<location_configuration *>(conf);
    auto rest = arguments(cf).subspan(2);

    if (location.handler != nullptr || location.status != 0) {
        return conflict(cf, location, false);
    }

    if (!set_handler(cf, location)) {
        return conf_failed();
    }

    if (!rest.empty() && parameter_name_length(view(rest.front())) == 0) {
        if (rest.front().len == 0) {
            return invalid_value(cf, rest.front(),
                                 "a key that is not empty, or none");
        }

        location.key = compile_value(cf, rest.front());

        if (location.key == nullptr) {
            return conf_failed();
        }

        rest = rest.subspan(1);
    }

    broker::limits history;

    if (!set_parameters(cf, rest, location) ||
        !check_parameters(cf, location, history) ||
        !set_backend(cf, location)) {
        return conf_failed();
    }

    return add_location(cf, location, history);

} catch (const std::bad_alloc &) {
    return conf_failed();
}

char *set_websocket_publish(ngx_conf_t *cf, ngx_command_t *, void *conf)
try {
    auto &location = *static_cast<location_configuration *>(conf);
    const auto args = arguments(cf);
    ngx_str_t &key = args[2];

    if (location.handler != nullptr || location.status != 0) {
        return conflict(cf, location, true);
    }

    if (!set_handler(cf, location)) {
        return conf_failed();
    }

    auto rest = args.subspan(3);

    location.publishes = true;
    main_conf(cf)->has_publishers = true;

    if (!read_addresses(cf, rest, location)) {
        return conf_failed();
    }

    const bool addresses =
        location.to_client != nullptr || location.to_user != nullptr;

    if ((key.len == 0 && !addresses) || parameter_name_length(view(key)) != 0) {
        return invalid_value(cf, key, "a key after the handler");
    }

    location.key = compile_value(cf, key);

    if (location.key == nullptr || !set_parameters(cf, rest, location)) {
        return conf_failed();
    }

    broker::limits history;

    // Without parameters the location takes those of a `websocket` location
    // with the same handler, which may come later: see location_terms.cpp.
    if (location.parameters->nelts != 0 &&
        !check_parameters(cf, location, history)) {
        return conf_failed();
    }

    return add_location(cf, location, history);

} catch (const std::bad_alloc &) {
    return conf_failed();
}

} // namespace websocket::nginx
