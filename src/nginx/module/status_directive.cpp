// The directive `websocket_status`.
#include "nginx/core/configuration.hpp"
#include "nginx/module/content_handlers.hpp"
#include "nginx/module/setters.hpp"
#include "nginx/status/status.hpp"

namespace websocket::nginx {

char *conflicts_with_status(ngx_conf_t *cf)
{
    return conf_error(cf, "\"websocket_status\" directive conflicts with "
                          "\"websocket\" and \"websocket_publish\" in the same "
                          "location; use separate locations");
}

char *set_websocket_status(ngx_conf_t *cf, ngx_command_t *, void *conf)
{
    auto &location = *static_cast<location_configuration *>(conf);
    const auto args = arguments(cf);

    if (location.status != 0) {
        return duplicate();
    }

    if (location.handler != nullptr) {
        return conflicts_with_status(cf);
    }

    const auto form =
        args.size() == 1 ? status_form::json : status_form_named(view(args[1]));

    if (!form) {
        return invalid_value(cf, args[1],
                             "\"json\", \"prometheus\" or \"html\"");
    }

    location.status = static_cast<ngx_uint_t>(*form);
    main_conf(cf)->zone_needed = true;
    return set_content_handler(cf, status_handler) ? NGX_CONF_OK
                                                   : conf_failed();
}

} // namespace websocket::nginx
