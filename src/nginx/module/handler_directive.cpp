// The directives `websocket` and `websocket_publish`: a location's handler, key
// and parameters.
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

// A parameter is a word, "=", and a value; anything else may be a key.
size_t parameter_name_length(std::string_view argument) noexcept
{
    constexpr std::string_view word = "abcdefghijklmnopqrstuvwxyz_";
    const size_t end = argument.find_first_not_of(word);

    return end != argument.npos && argument[end] == '=' ? end : 0;
}

bool compile_key(ngx_conf_t *cf, ngx_str_t *text, location_configuration &own)
{
    own.key = static_cast<ngx_http_complex_value_t *>(
        ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t)));

    if (own.key == nullptr) {
        return false;
    }

    ngx_http_compile_complex_value_t compile{};
    compile.cf = cf;
    compile.value = text;
    compile.complex_value = own.key;

    return ngx_http_compile_complex_value(&compile) == NGX_OK;
}

void say_what_it_takes(ngx_conf_t *cf, ngx_str_t &instead)
{
    WEBSOCKET_SAY(cf,
                  "\"%V\" takes a handler, a key and then parameters like "
                  "\"name=value\", not \"%V\"",
                  &arguments(cf)[0], &instead);
}

bool read_parameters(ngx_conf_t *cf, std::span<ngx_str_t> texts,
                     location_configuration &own)
{
    own.parameters =
        ngx_array_create(cf->pool, texts.size() + 1, sizeof(named_value));

    if (own.parameters == nullptr) {
        return false;
    }

    for (ngx_str_t &text : texts) {
        const std::string_view whole = view(text);
        const size_t length = parameter_name_length(whole);

        if (length == 0) {
            say_what_it_takes(cf, text);
            return false;
        }

        void *place = ngx_array_push(own.parameters);

        if (place == nullptr) {
            return false;
        }

        new (place)
            named_value{whole.substr(0, length), whole.substr(length + 1)};
    }

    return true;
}

bool check_parameters(ngx_conf_t *cf, const location_configuration &own,
                      broker::limits &history)
{
    const std::string wrong =
        resource::check(own.handler, parameters_of(own), history);

    if (!wrong.empty()) {
        WEBSOCKET_SAY(cf, "\"%V %s\": %s", &arguments(cf)[0], own.handler->name,
                      wrong.c_str());
    }

    return wrong.empty();
}

bool set_handler(ngx_conf_t *cf, location_configuration &own)
{
    const auto args = arguments(cf);

    own.handler = find_handler(cf, view(args[1]));

    if (own.handler == nullptr) {
        WEBSOCKET_SAY(cf, "\"%V\" knows no handler \"%V\", only: %s", &args[0],
                      &args[1], handler_names(cf).c_str());
    }

    return own.handler != nullptr;
}

// The location has one of the three directives already.
char *refuse_second(ngx_conf_t *cf, const location_configuration &own,
                    bool publishes)
{
    if (own.status != 0) {
        return conflicts_with_status(cf);
    }

    if (own.publishes == publishes) {
        return duplicate();
    }

    WEBSOCKET_SAY(cf, "\"websocket\" and \"websocket_publish\" cannot be in "
                      "the same location");
    return refuse();
}

// What is left to do when all that the directive says is right.
char *serve(ngx_conf_t *cf, location_configuration &own,
            const broker::limits &history)
{
    auto *clcf = static_cast<ngx_http_core_loc_conf_t *>(
        ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
    main_configuration &all = *main_conf(cf);

    if (all.locations == nullptr) {
        all.locations = ngx_array_create(cf->pool, 8, sizeof(handler_location));
    }

    auto *place =
        all.locations == nullptr
            ? nullptr
            : static_cast<handler_location *>(ngx_array_push(all.locations));

    own.terms = static_cast<resource_settings *>(
        ngx_pcalloc(cf->pool, sizeof(resource_settings)));

    if (place == nullptr || own.terms == nullptr) {
        return refuse();
    }

    *place = {.conf = &own,
              .history = history,
              .key = own.key == nullptr ? clcf->name : own.key->value,
              .file = cf->conf_file->file.name,
              .line = cf->conf_file->line};
    all.zone_needed = true;
    return set_content_handler(cf, content_handler_of(own)) ? NGX_CONF_OK
                                                            : refuse();
}

} // namespace

ngx_http_handler_pt
content_handler_of(const location_configuration &conf) noexcept
{
    return conf.publishes ? publish_handler : upgrade_handler;
}

char *set_websocket(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
try {
    auto &own = *static_cast<location_configuration *>(conf);
    auto rest = arguments(cf).subspan(2);

    (void)cmd;

    if (own.handler != nullptr || own.status != 0) {
        return refuse_second(cf, own, false);
    }

    if (!set_handler(cf, own)) {
        return refuse();
    }

    if (!rest.empty() && parameter_name_length(view(rest.front())) == 0) {
        if (!compile_key(cf, &rest.front(), own)) {
            return refuse();
        }
        rest = rest.subspan(1);
    }

    broker::limits history;

    if (!read_parameters(cf, rest, own) ||
        !check_parameters(cf, own, history)) {
        return refuse();
    }

    return serve(cf, own, history);

} catch (const std::bad_alloc &) {
    return refuse();
}

char *set_websocket_publish(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
try {
    auto &own = *static_cast<location_configuration *>(conf);
    const auto args = arguments(cf);
    ngx_str_t &key = args[2];

    (void)cmd;

    if (own.handler != nullptr || own.status != 0) {
        return refuse_second(cf, own, true);
    }

    if (!set_handler(cf, own)) {
        return refuse();
    }

    if (key.len == 0 || parameter_name_length(view(key)) != 0) {
        say_what_it_takes(cf, key);
        return refuse();
    }

    own.publishes = true;

    if (!compile_key(cf, &key, own) ||
        !read_parameters(cf, args.subspan(3), own)) {
        return refuse();
    }

    broker::limits history;

    // Without any those of another location are taken, which may come later
    if (own.parameters->nelts != 0 && !check_parameters(cf, own, history)) {
        return refuse();
    }

    return serve(cf, own, history);

} catch (const std::bad_alloc &) {
    return refuse();
}

} // namespace websocket::nginx
