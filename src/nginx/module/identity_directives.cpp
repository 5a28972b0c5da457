// The directives that say who a client is: websocket_user.
#include "nginx/core/configuration.hpp"
#include "nginx/module/setters.hpp"

namespace websocket::nginx {

namespace {

// Null: an error, which is logged.
ngx_http_complex_value_t *compile_value(ngx_conf_t *cf, ngx_str_t &text)
{
    ngx_http_compile_complex_value_t compile{};
    auto *value = static_cast<ngx_http_complex_value_t *>(
        ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t)));

    if (value == nullptr) {
        return nullptr;
    }

    compile.cf = cf;
    compile.value = &text;
    compile.complex_value = value;
    return ngx_http_compile_complex_value(&compile) == NGX_OK ? value : nullptr;
}

} // namespace

char *set_user_value(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto *&user = field<ngx_http_complex_value_t *>(conf, cmd->offset);

    if (user != NGX_CONF_UNSET_PTR) {
        return duplicate();
    }

    user = compile_value(cf, arguments(cf)[1]);
    return user == nullptr ? conf_failed() : NGX_CONF_OK;
}

} // namespace websocket::nginx
