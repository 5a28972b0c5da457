// Sets the content handlers of locations, and warns if another directive of
// the same location sets one too: nginx silently uses the last one.
#include "nginx/module/content_handlers.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/module/setters.hpp"

#include <span>

namespace websocket::nginx {

namespace {

std::span<const content_location> content_locations_of(ngx_conf_t *cf) noexcept
{
    const ngx_array_t *all = main_conf(cf)->content_locations;

    if (all == nullptr) {
        return {};
    }

    return {static_cast<const content_location *>(all->elts), all->nelts};
}

content_location *add_location(ngx_conf_t *cf) noexcept
{
    ngx_array_t *&all = main_conf(cf)->content_locations;

    if (all == nullptr) {
        all = ngx_array_create(cf->pool, 8, sizeof(content_location));
    }

    return all == nullptr
               ? nullptr
               : static_cast<content_location *>(ngx_array_push(all));
}

} // namespace

bool set_content_handler(ngx_conf_t *cf, ngx_http_handler_pt handler) noexcept
{
    auto *core = static_cast<ngx_http_core_loc_conf_t *>(
        ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
    ngx_str_t &directive = arguments(cf)[0];

    // It is another module's: a second one of this module is an error
    if (core->handler != nullptr) {
        ngx_conf_log_error(
            NGX_LOG_WARN, cf, 0,
            "\"%V\" directive replaces another content handler of location "
            "\"%V\", such as \"proxy_pass\"; use separate locations",
            &directive, &core->name);
    }

    content_location *added = add_location(cf);

    if (added == nullptr) {
        return false;
    }

    *added = {.core = core,
              .handler = handler,
              .directive = directive,
              .file = cf->conf_file->file.name,
              .line = cf->conf_file->line};
    core->handler = handler;
    return true;
}

void warn_of_replaced_handlers(ngx_conf_t *cf) noexcept
{
    for (const content_location &each : content_locations_of(cf)) {
        if (each.core->handler != each.handler) {
            write_log(NGX_LOG_WARN, cf->log,
                      "another content handler of location \"%V\", such as "
                      "\"proxy_pass\", replaces \"%V\" directive; use separate "
                      "locations in %V:%ui",
                      each.core->name, each.directive, each.file, each.line);
        }
    }
}

} // namespace websocket::nginx
