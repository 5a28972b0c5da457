// The directives that take lists: origins and subprotocols.
#include "nginx/core/configuration.hpp"
#include "nginx/module/setters.hpp"
#include "protocol/tokens.hpp"

#include <new>

namespace websocket::nginx {

namespace {

bool add_origin(ngx_conf_t *cf, ngx_command_t *cmd, ngx_str_t &value,
                location_configuration &own)
{
    std::string_view reason;
    const auto pattern = protocol::origin_pattern::parse(view(value), &reason);

    if (!pattern) {
        WEBSOCKET_SAY(cf,
                      "\"%V\" takes \"same\", \"any\", \"null\", "
                      "\"https://host[:port]\", the same of another scheme, or "
                      "\"*.host\", not \"%V\": %s",
                      &cmd->name, &value, reason.data());
        return false;
    }

    void *place = ngx_array_push(own.origins);

    if (place == nullptr) {
        return false;
    }

    new (place) protocol::origin_pattern(*pattern);
    return true;
}

} // namespace

char *set_origins(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &own = *static_cast<location_configuration *>(conf);
    const auto args = arguments(cf);

    if (own.any_origin != NGX_CONF_UNSET_UINT) {
        return duplicate();
    }

    own.any_origin = 0;
    own.same_origin = 0;
    own.origins = ngx_array_create(cf->pool, args.size(),
                                   sizeof(protocol::origin_pattern));

    if (own.origins == nullptr) {
        return refuse();
    }

    for (ngx_str_t &value : args.subspan(1)) {
        if (view(value) == "same") {
            own.same_origin = 1;

        } else if (view(value) == "any") {
            own.any_origin = 1;

        } else if (!add_origin(cf, cmd, value, own)) {
            return refuse();
        }
    }

    if (own.any_origin && args.size() > 2) {
        WEBSOCKET_SAY(cf, "\"%V any\" takes nothing beside \"any\"",
                      &cmd->name);
        return refuse();
    }

    return NGX_CONF_OK;
}

char *set_subprotocols(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &own = *static_cast<location_configuration *>(conf);
    const auto names = arguments(cf).subspan(1);

    if (own.subprotocols != NGX_CONF_UNSET_PTR) {
        return duplicate();
    }

    own.subprotocols =
        ngx_array_create(cf->pool, names.size(), sizeof(std::string_view));

    if (own.subprotocols == nullptr) {
        return refuse();
    }

    for (ngx_str_t &value : names) {
        const std::span known{
            static_cast<std::string_view *>(own.subprotocols->elts),
            own.subprotocols->nelts};

        if (!protocol::is_token(view(value))) {
            WEBSOCKET_SAY(
                cf,
                "\"%V\" takes names without spaces or separators, not \"%V\"",
                &cmd->name, &value);
            return refuse();
        }

        for (const std::string_view name : known) {
            if (name == view(value)) {
                WEBSOCKET_SAY(cf, "\"%V\" has \"%V\" twice", &cmd->name,
                              &value);
                return refuse();
            }
        }

        void *place = ngx_array_push(own.subprotocols);

        if (place == nullptr) {
            return refuse();
        }

        new (place) std::string_view(view(value));
    }

    return NGX_CONF_OK;
}

} // namespace websocket::nginx
