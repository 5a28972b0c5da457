// The directive `websocket_status`.
#include "nginx/core/configuration.hpp"
#include "nginx/module/content_handlers.hpp"
#include "nginx/module/setters.hpp"
#include "nginx/status/status.hpp"

namespace websocket::nginx {

char *conflicts_with_status(ngx_conf_t *cf)
{
    WEBSOCKET_SAY(cf, "\"websocket_status\" cannot be in the same location "
                      "as \"websocket\" or \"websocket_publish\"");
    return refuse();
}

char *set_websocket_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &own = *static_cast<location_configuration *>(conf);
    const auto args = arguments(cf);

    (void)cmd;

    if (own.status != 0) {
        return duplicate();
    }

    if (own.handler != nullptr) {
        return conflicts_with_status(cf);
    }

    const auto form =
        args.size() == 1 ? status_form::json : status_form_named(view(args[1]));

    if (!form) {
        WEBSOCKET_SAY(
            cf, "\"%V\" takes \"json\", \"prometheus\" or \"html\", not \"%V\"",
            &args[0], &args[1]);
        return refuse();
    }

    own.status = static_cast<ngx_uint_t>(*form);
    main_conf(cf)->zone_needed = true;
    return set_content_handler(cf, status_handler) ? NGX_CONF_OK : refuse();
}

} // namespace websocket::nginx
