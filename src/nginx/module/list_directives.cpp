// The directives that take lists: websocket_origins, websocket_subprotocols.
#include "nginx/core/configuration.hpp"
#include "nginx/module/setters.hpp"
#include "protocol/text/tokens.hpp"

#include <new>

namespace websocket::nginx {

namespace {

char *add_origin(ngx_conf_t *cf, ngx_str_t &value,
                 location_configuration &location)
{
    std::string_view reason;
    const auto pattern = protocol::origin_pattern::parse(view(value), &reason);

    if (!pattern) {
        return conf_error(cf,
                          "invalid origin \"%V\" in \"%V\" directive: %s; "
                          "expected \"same\", \"any\", \"null\", "
                          "\"scheme://host[:port]\" or \"*.host\"",
                          &value, &arguments(cf)[0], reason.data());
    }

    void *slot = ngx_array_push(location.origins);

    if (slot == nullptr) {
        return conf_failed();
    }

    new (slot) protocol::origin_pattern(*pattern);
    return NGX_CONF_OK;
}

} // namespace

char *set_origins(ngx_conf_t *cf, ngx_command_t *, void *conf)
{
    auto &location = *static_cast<location_configuration *>(conf);
    const auto args = arguments(cf);

    if (location.any_origin != NGX_CONF_UNSET_UINT) {
        return duplicate();
    }

    location.any_origin = 0;
    location.same_origin = 0;
    location.origins = ngx_array_create(cf->pool, args.size(),
                                        sizeof(protocol::origin_pattern));

    if (location.origins == nullptr) {
        return conf_failed();
    }

    for (ngx_str_t &value : args.subspan(1)) {
        if (view(value) == "same") {
            location.same_origin = 1;

        } else if (view(value) == "any") {
            location.any_origin = 1;

        } else if (add_origin(cf, value, location) != NGX_CONF_OK) {
            return conf_failed();
        }
    }

    if (location.any_origin && args.size() > 2) {
        return conf_error(
            cf, "\"any\" must be the only argument of \"%V\" directive",
            &args[0]);
    }

    return NGX_CONF_OK;
}

namespace {

char *add_subprotocol(ngx_conf_t *cf, ngx_str_t &value, ngx_array_t &names)
{
    const std::span known{static_cast<std::string_view *>(names.elts),
                          names.nelts};

    if (!protocol::is_token(view(value))) {
        return invalid_value(cf, value, "a name without spaces or separators");
    }

    for (const std::string_view name : known) {
        if (name == view(value)) {
            return conf_error(cf, "duplicate name \"%V\" in \"%V\" directive",
                              &value, &arguments(cf)[0]);
        }
    }

    void *slot = ngx_array_push(&names);

    if (slot == nullptr) {
        return conf_failed();
    }

    new (slot) std::string_view(view(value));
    return NGX_CONF_OK;
}

} // namespace

char *set_subprotocols(ngx_conf_t *cf, ngx_command_t *, void *conf)
{
    auto &location = *static_cast<location_configuration *>(conf);
    const auto names = arguments(cf).subspan(1);

    if (location.subprotocols != NGX_CONF_UNSET_PTR) {
        return duplicate();
    }

    location.subprotocols =
        ngx_array_create(cf->pool, names.size(), sizeof(std::string_view));

    if (location.subprotocols == nullptr) {
        return conf_failed();
    }

    for (ngx_str_t &value : names) {
        if (add_subprotocol(cf, value, *location.subprotocols) != NGX_CONF_OK) {
            return conf_failed();
        }
    }

    return NGX_CONF_OK;
}

} // namespace websocket::nginx
