// Gives locations their content handler, and warns where another directive of
// the same location gives one too: nginx keeps the last one in silence.
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

    // Ours would have been refused
    if (core->handler != nullptr) {
        ngx_conf_log_error(
            NGX_LOG_WARN, cf, 0,
            "\"%V\" replaces another directive of location \"%V\" that answers "
            "requests, such as \"proxy_pass\": that one answers none, move it "
            "to another location",
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
                      "\"%V\" in %V:%ui is replaced by another directive of "
                      "location \"%V\" that answers requests, such as "
                      "\"proxy_pass\": \"%V\" answers none, move it to another "
                      "location",
                      each.directive, each.file, each.line, each.core->name,
                      each.directive);
        }
    }
}

} // namespace websocket::nginx
