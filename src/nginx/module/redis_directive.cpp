// The directive websocket_redis.
#include "nginx/core/configuration.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/core/redis_settings.hpp"
#include "nginx/hiredis/library.hpp"
#include "nginx/hiredis/resolver.hpp"
#include "nginx/module/setters.hpp"

#include <memory>
#include <new>
#include <optional>

namespace websocket::nginx {

namespace {

// The words behind the address, as they were given.
struct wanted_settings {
    std::optional<std::string_view> prefix;
    std::optional<std::string_view> connect_timeout;
    std::optional<std::string_view> command_timeout;
    std::optional<std::string_view> queue;

    // Null: there is no parameter of that name.
    std::optional<std::string_view> *find(std::string_view name) noexcept
    {
        return name == "prefix"            ? &prefix
               : name == "connect_timeout" ? &connect_timeout
               : name == "command_timeout" ? &command_timeout
               : name == "queue"           ? &queue
                                           : nullptr;
    }
};

void let_go(void *data)
{
    std::destroy_at(static_cast<redis_settings *>(data));
}

// Null: no memory.
redis_settings *make_settings(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t *cleanup =
        ngx_pool_cleanup_add(cf->pool, sizeof(redis_settings));

    if (cleanup == nullptr) {
        return nullptr;
    }

    auto *made = new (cleanup->data) redis_settings;
    cleanup->handler = let_go;
    return made;
}

// A word that is no parameter is not repeated: it may be a piece of a password
// with a space in it.
bool read_words(ngx_conf_t *cf, std::span<ngx_str_t> words,
                wanted_settings &wanted)
{
    for (const ngx_str_t &word : words) {
        const std::string_view text = view(word);
        const std::size_t sign = text.find('=');
        ngx_str_t name = borrowed(text.substr(0, sign));
        auto *place = sign == text.npos ? nullptr : wanted.find(view(name));

        if (place == nullptr) {
            WEBSOCKET_SAY(cf,
                          "\"websocket_redis\" takes one address, \"prefix=\", "
                          "\"connect_timeout=\", \"command_timeout=\" and "
                          "\"queue=\", and its parameter %ui is none of them",
                          static_cast<ngx_uint_t>(&word - words.data()) + 2);
            return false;
        }

        if (place->has_value()) {
            WEBSOCKET_SAY(cf, "\"websocket_redis\" has \"%V=\" twice", &name);
            return false;
        }

        *place = text.substr(sign + 1);
    }

    return true;
}

bool read_time(ngx_conf_t *cf, const char *name,
               std::optional<std::string_view> word, ngx_msec_t &time)
{
    if (!word) {
        return true;
    }

    ngx_str_t text = borrowed(*word);
    const ngx_int_t parsed = ngx_parse_time(&text, 0);

    if (parsed == NGX_ERROR || parsed == 0) {
        WEBSOCKET_SAY(cf,
                      "\"%s=\" of \"websocket_redis\" takes a time longer than "
                      "0, such as \"2s\", not \"%V\"",
                      name, &text);
        return false;
    }

    time = static_cast<ngx_msec_t>(parsed);
    return true;
}

bool read_queue(ngx_conf_t *cf, std::optional<std::string_view> word,
                std::size_t &size)
{
    if (!word) {
        return true;
    }

    ngx_str_t text = borrowed(*word);
    const ssize_t parsed = parse_size(text);

    if (parsed == NGX_ERROR || parsed == 0) {
        WEBSOCKET_SAY(cf,
                      "\"queue=\" of \"websocket_redis\" takes a size larger "
                      "than 0, such as \"1m\", not \"%V\"",
                      &text);
        return false;
    }

    size = static_cast<std::size_t>(parsed);
    return true;
}

bool read_parameters(ngx_conf_t *cf, std::span<ngx_str_t> words,
                     redis_settings &settings)
{
    wanted_settings wanted;

    if (!read_words(cf, words, wanted) ||
        !read_time(cf, "connect_timeout", wanted.connect_timeout,
                   settings.connect_timeout) ||
        !read_time(cf, "command_timeout", wanted.command_timeout,
                   settings.command_timeout) ||
        !read_queue(cf, wanted.queue, settings.queue)) {
        return false;
    }

    settings.prefix = wanted.prefix.value_or("ws:");
    return true;
}

// That of the block `http`; null if it has none: nginx then has one that knows
// no server.
ngx_resolver_t *resolver_of(ngx_conf_t *cf) noexcept
{
    const auto *core = static_cast<ngx_http_core_loc_conf_t *>(
        ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));

    return core->resolver != nullptr && core->resolver->connections.nelts != 0
               ? core->resolver
               : nullptr;
}

bool is_address(ngx_conf_t *cf, std::string_view host) noexcept
{
    const ngx_str_t text = borrowed(host);
    ngx_addr_t address;

    return ngx_parse_addr(cf->pool, &address, text.data, text.len) == NGX_OK;
}

} // namespace

char *set_redis(ngx_conf_t *cf, ngx_command_t *, void *conf)
try {
    auto &own = *static_cast<main_configuration *>(conf);
    const auto words = arguments(cf).subspan(1);

    if (own.redis != nullptr) {
        return duplicate();
    }

    const broker::parsed_redis_url url =
        broker::parse_redis_url(view(words[0]));

    if (!url) {
        WEBSOCKET_SAY(cf, "\"websocket_redis\": %s", url.fault.c_str());
        return refuse();
    }

    if (const std::string why = redis_library::load(); !why.empty()) {
        WEBSOCKET_SAY(cf, "\"websocket_redis\": %s", why.c_str());
        return refuse();
    }

    redis_settings *made = make_settings(cf);

    if (made == nullptr || !read_parameters(cf, words.subspan(1), *made)) {
        return refuse();
    }

    made->target = url.target;
    made->name = url.target.name();
    made->file = view(cf->conf_file->file.name);
    made->line = cf->conf_file->line;
    own.redis = made;
    return NGX_CONF_OK;

} catch (const std::bad_alloc &) {
    return refuse();
}

// Workers never wait for a name: it is asked here, and of nginx's resolver
// later.
char *resolve_redis(ngx_conf_t *cf, main_configuration &own)
try {
    redis_settings *settings = own.redis;
    std::string why;

    if (settings == nullptr || settings->target.is_unix) {
        return NGX_CONF_OK;
    }

    if (!is_address(cf, settings->target.host)) {
        settings->resolver = resolver_of(cf);
    }

    if (find_redis_addresses(cf, *settings, why)) {
        return NGX_CONF_OK;
    }

    const bool asked_again = settings->resolver != nullptr;
    const ngx_uint_t level = asked_again ? NGX_LOG_WARN : NGX_LOG_EMERG;

    write_log(level, cf->log, "\"websocket_redis\": \"%V\": %V%V in %V:%ui",
              settings->target.host, unquoted{why},
              asked_again ? ", workers will ask the resolver" : "",
              settings->file, settings->line);
    return asked_again ? NGX_CONF_OK : refuse();

} catch (const std::bad_alloc &) {
    return refuse();
}

} // namespace websocket::nginx
