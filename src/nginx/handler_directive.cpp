// The directive `websocket`: a location's handler, key and parameters.
#include "nginx/configuration.hpp"
#include "nginx/setters.hpp"
#include "nginx/upgrade.hpp"

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

// Asks the handler whether the location's parameters are right.
char *check_parameters(ngx_conf_t *cf, std::span<ngx_str_t> texts,
                       const websocket_handler_t *handler)
{
    ngx_array_t *parameters = ngx_array_create(cf->pool, texts.size() + 1,
                                               sizeof(websocket_parameter_t));

    if (parameters == nullptr) {
        return refuse();
    }

    for (ngx_str_t &text : texts) {
        const size_t length = parameter_name_length(view(text));

        if (length == 0) {
            WEBSOCKET_SAY(
                cf,
                "\"websocket\" takes a handler, a key and then parameters "
                "like \"name=value\", not \"%V\"",
                &text);
            return refuse();
        }

        ngx_str_t name = {length, text.data};
        auto *made =
            static_cast<websocket_parameter_t *>(ngx_array_push(parameters));
        auto *copy = static_cast<u_char *>(ngx_pnalloc(cf->pool, length + 1));

        if (made == nullptr || copy == nullptr) {
            return refuse();
        }

        ngx_cpystrn(copy, name.data, length + 1);
        *made = {reinterpret_cast<char *>(copy),
                 reinterpret_cast<char *>(text.data) + length + 1};
    }

    const char *wrong = handler->configured(
        static_cast<websocket_parameter_t *>(parameters->elts),
        parameters->nelts);

    if (wrong != nullptr) {
        WEBSOCKET_SAY(cf, "\"websocket %s\": %s", handler->name, wrong);
        return refuse();
    }

    return NGX_CONF_OK;
}

} // namespace

char *set_websocket(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto &own = *static_cast<location_configuration *>(conf);
    auto rest = arguments(cf).subspan(1);
    ngx_str_t &name = rest.front();

    (void)cmd;

    if (own.handler != nullptr) {
        return duplicate();
    }

    own.handler = find_handler(view(name));

    if (own.handler == nullptr) {
        WEBSOCKET_SAY(cf, "\"websocket\" knows no handler \"%V\", only: %s",
                      &name, handler_names());
        return refuse();
    }

    rest = rest.subspan(1);

    if (!rest.empty() && parameter_name_length(view(rest.front())) == 0) {
        if (!compile_key(cf, &rest.front(), own)) {
            return refuse();
        }
        rest = rest.subspan(1);
    }

    if (char *rc = check_parameters(cf, rest, own.handler); rc != NGX_CONF_OK) {
        return rc;
    }

    auto *clcf = static_cast<ngx_http_core_loc_conf_t *>(
        ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
    clcf->handler = answer_handshake;

    return NGX_CONF_OK;
}

} // namespace websocket::nginx
