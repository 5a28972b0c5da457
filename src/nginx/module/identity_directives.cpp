// The directives that say who a client is: websocket_user, websocket_jwt.
#include "nginx/core/configuration.hpp"
#include "nginx/identity/token_settings.hpp"
#include "nginx/module/setters.hpp"

#include <memory>
#include <new>
#include <string>

namespace websocket::nginx {

namespace {

constexpr std::size_t max_key_file_size = 1024 * 1024;

void destroy_token_settings(void *data)
{
    std::destroy_at(static_cast<token_settings *>(data));
}

// Null: no memory.
token_settings *create_token_settings(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t *cleanup =
        ngx_pool_cleanup_add(cf->pool, sizeof(token_settings));

    if (cleanup == nullptr) {
        return nullptr;
    }

    auto *created = new (cleanup->data) token_settings;

    cleanup->handler = destroy_token_settings;
    return created;
}

bool read_source(ngx_conf_t *cf, ngx_str_t &text, token_settings &settings)
{
    if (view(text) == "subprotocol") {
        main_conf(cf)->hides_bearer_offers = true;
        return true;
    }

    if (ngx_http_script_variables_count(&text) == 0) {
        invalid_value(cf, text,
                      "\"subprotocol\", or a value with variables such as "
                      "\"$arg_token\"");
        return false;
    }

    settings.source = compile_value(cf, text);
    return settings.source != nullptr;
}

// Returns false, with the error number, if a file cannot be read. It must not
// be larger than the limit.
bool read_file(const ngx_str_t &name, std::string &bytes)
{
    const ngx_fd_t file =
        ngx_open_file(name.data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (file == NGX_INVALID_FILE) {
        return false;
    }

    ssize_t size = 0;
    bytes.resize(max_key_file_size + 1);

    for (std::size_t total = 0;; total += static_cast<std::size_t>(size)) {
        size = ngx_read_fd(file, bytes.data() + total, bytes.size() - total);

        if (size <= 0) {
            bytes.resize(total);
            break;
        }
    }

    const ngx_err_t error = size < 0 ? ngx_errno : 0;

    ngx_close_file(file);
    ngx_set_errno(error);
    return size == 0;
}

// The errors never have bytes of the file.
bool read_key_file(ngx_conf_t *cf, ngx_str_t name, token_settings &settings)
{
    std::string bytes;

    if (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK) {
        return false;
    }

    if (!read_file(name, bytes)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "cannot read key file \"%V\" in \"websocket_jwt\" "
                           "directive",
                           &name);
        return false;
    }

    const tokens::secret_bytes file(std::move(bytes));
    tokens::parsed_keys parsed =
        file.view().size() > max_key_file_size
            ? tokens::parsed_keys{{}, "it is larger than 1 MB"}
            : tokens::parse_keys(file.view());

    if (!parsed.error.empty()) {
        conf_error(cf,
                   "cannot use key file \"%V\" in \"websocket_jwt\" directive: "
                   "%s",
                   &name, parsed.error.c_str());
        return false;
    }

    settings.verifier.keys = std::move(parsed.keys);
    return true;
}

bool read_leeway(ngx_conf_t *cf, ngx_str_t text, token_settings &settings)
{
    const ngx_int_t parsed = ngx_parse_time(&text, 0);

    if (parsed == NGX_ERROR) {
        conf_error(cf,
                   "invalid value \"%V\" of \"leeway=\" in \"websocket_jwt\" "
                   "directive; expected a time, such as \"5s\"",
                   &text);
        return false;
    }

    settings.verifier.leeway = static_cast<std::uint64_t>(parsed);
    return true;
}

bool read_option(ngx_conf_t *cf, ngx_str_t &argument, token_settings &settings)
{
    const std::string_view text = view(argument);
    const std::size_t sign = text.find('=');
    const std::string_view name = text.substr(0, sign);
    const std::string_view value =
        sign == text.npos ? std::string_view{} : text.substr(sign + 1);

    if (text == "required" || text == "optional") {
        settings.required = text == "required";
        return true;
    }

    if (name == "leeway" && !value.empty()) {
        return read_leeway(cf, borrowed(value), settings);
    }

    if (name == "issuer" && !value.empty()) {
        settings.verifier.issuers.emplace_back(value);
        return true;
    }

    if (name == "audience" && !value.empty()) {
        settings.verifier.audiences.emplace_back(value);
        return true;
    }

    invalid_value(cf, argument,
                  "\"required\", \"optional\", \"issuer=\", \"audience=\" or "
                  "\"leeway=\"");
    return false;
}

} // namespace

char *set_user_value(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    auto *&user = field<ngx_http_complex_value_t *>(conf, cmd->offset);

    if (user != NGX_CONF_UNSET_PTR) {
        return duplicate();
    }

    user = compile_value(cf, arguments(cf)[1]);
    main_conf(cf)->has_users = true;
    return user == nullptr ? conf_failed() : NGX_CONF_OK;
}

char *set_jwt(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
try {
    auto *&tokens = field<token_settings *>(conf, cmd->offset);
    const auto args = arguments(cf).subspan(1);

    if (tokens != NGX_CONF_UNSET_PTR) {
        return duplicate();
    }

    main_conf(cf)->has_users = true;

    if (args.size() == 1) {
        tokens = nullptr;
        return view(args[0]) == "off"
                   ? NGX_CONF_OK
                   : invalid_value(cf, args[0],
                                   "\"off\", or a source and a key file");
    }

    tokens = create_token_settings(cf);

    if (tokens == nullptr || !read_source(cf, args[0], *tokens) ||
        !read_key_file(cf, args[1], *tokens)) {
        return conf_failed();
    }

    for (ngx_str_t &each : args.subspan(2)) {
        if (!read_option(cf, each, *tokens)) {
            return conf_failed();
        }
    }

    return NGX_CONF_OK;

} catch (const std::bad_alloc &) {
    return conf_failed();
}

} // namespace websocket::nginx
