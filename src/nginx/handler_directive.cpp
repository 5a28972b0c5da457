// The directive `websocket`: a location's handler, key and parameters.
#include "nginx/configuration.hpp"
#include "nginx/plugins.hpp"
#include "nginx/resource.hpp"
#include "nginx/setters.hpp"
#include "nginx/upgrade.hpp"

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
            WEBSOCKET_SAY(
                cf,
                "\"websocket\" takes a handler, a key and then parameters "
                "like \"name=value\", not \"%V\"",
                &text);
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

} // namespace

char *set_websocket(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
try {
    auto &own = *static_cast<location_configuration *>(conf);
    auto rest = arguments(cf).subspan(1);
    ngx_str_t &name = rest.front();

    (void)cmd;

    if (own.handler != nullptr) {
        return duplicate();
    }

    own.handler = find_handler(cf, view(name));

    if (own.handler == nullptr) {
        WEBSOCKET_SAY(cf, "\"websocket\" knows no handler \"%V\", only: %s",
                      &name, handler_names(cf).c_str());
        return refuse();
    }

    rest = rest.subspan(1);

    if (!rest.empty() && parameter_name_length(view(rest.front())) == 0) {
        if (!compile_key(cf, &rest.front(), own)) {
            return refuse();
        }
        rest = rest.subspan(1);
    }

    if (!read_parameters(cf, rest, own)) {
        return refuse();
    }

    if (const std::string wrong =
            resource::check(own.handler, parameters_of(own));
        !wrong.empty()) {
        WEBSOCKET_SAY(cf, "\"websocket %s\": %s", own.handler->name,
                      wrong.c_str());
        return refuse();
    }

    auto *clcf = static_cast<ngx_http_core_loc_conf_t *>(
        ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
    clcf->handler = answer_handshake;
    main_conf(cf)->zone_needed = true;

    return NGX_CONF_OK;

} catch (const std::bad_alloc &) {
    return refuse();
}

} // namespace websocket::nginx
