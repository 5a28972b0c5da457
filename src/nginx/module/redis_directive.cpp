// The directive websocket_redis.
#include "nginx/core/configuration.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/core/redis_settings.hpp"
#include "nginx/module/setters.hpp"
#include "nginx/redis_io/library.hpp"
#include "nginx/redis_io/resolver.hpp"
#include "nginx/redis_io/tls.hpp"
#include "redis/url.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

namespace websocket::nginx {

namespace {

// The values of the parameters after the address, by name. nginx ends them with
// a zero byte.
using redis_arguments = std::map<std::string_view, ngx_str_t>;

constexpr std::array<std::string_view, 5> parameters{
    "prefix", "connect_timeout", "command_timeout", "wait", "queue"};
constexpr std::array<std::string_view, 5> tls_parameters{
    "ca", "cert", "key", "verify", "server_name"};

bool is_parameter(std::string_view name) noexcept
{
    const auto named = [name](const auto &list) {
        return std::find(list.begin(), list.end(), name) != list.end();
    };

    return named(parameters) || named(tls_parameters);
}

void destroy_settings(void *data)
{
    std::destroy_at(static_cast<redis_settings *>(data));
}

// Null: no memory.
redis_settings *create_settings(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t *cleanup =
        ngx_pool_cleanup_add(cf->pool, sizeof(redis_settings));

    if (cleanup == nullptr) {
        return nullptr;
    }

    auto *settings = new (cleanup->data) redis_settings;
    cleanup->handler = destroy_settings;
    return settings;
}

// An unknown parameter is not logged: it may be part of a password that has a
// space in it.
bool split_parameters(ngx_conf_t *cf, std::span<ngx_str_t> texts,
                      redis_arguments &args)
{
    for (const ngx_str_t &each : texts) {
        const std::string_view text = view(each);
        const std::size_t sign = text.find('=');
        ngx_str_t name = borrowed(text.substr(0, sign));

        if (sign == text.npos || !is_parameter(view(name))) {
            conf_error(cf,
                       "invalid argument %ui in \"websocket_redis\" "
                       "directive; expected one address, then \"prefix=\", "
                       "\"connect_timeout=\", \"command_timeout=\", "
                       "\"wait=\", \"queue=\", \"ca=\", \"cert=\", \"key=\", "
                       "\"verify=\" or \"server_name=\"",
                       static_cast<ngx_uint_t>(&each - texts.data()) + 2);
            return false;
        }

        if (!args.emplace(view(name), borrowed(text.substr(sign + 1))).second) {
            conf_error(cf,
                       "duplicate parameter \"%V=\" in \"websocket_redis\" "
                       "directive",
                       &name);
            return false;
        }
    }

    return true;
}

bool invalid_parameter(ngx_conf_t *cf, const char *name, ngx_str_t value,
                       const char *expected)
{
    conf_error(cf,
               "invalid value \"%V\" of \"%s=\" in \"websocket_redis\" "
               "directive; expected %s",
               &value, name, expected);
    return false;
}

bool read_time(ngx_conf_t *cf, const redis_arguments &args, const char *name,
               bool may_be_zero, ngx_msec_t &time)
{
    const auto found = args.find(name);

    if (found == args.end()) {
        return true;
    }

    ngx_str_t text = found->second;
    const ngx_int_t parsed = ngx_parse_time(&text, 0);

    if (parsed == NGX_ERROR || (parsed == 0 && !may_be_zero)) {
        return invalid_parameter(cf, name, text,
                                 may_be_zero
                                     ? "a time, such as \"30s\""
                                     : "a time longer than 0, such as \"2s\"");
    }

    time = static_cast<ngx_msec_t>(parsed);
    return true;
}

bool read_queue(ngx_conf_t *cf, const redis_arguments &args, std::size_t &size)
{
    const auto found = args.find("queue");

    if (found == args.end()) {
        return true;
    }

    ngx_str_t text = found->second;
    const ssize_t parsed = parse_size(text);

    if (parsed == NGX_ERROR || parsed == 0) {
        return invalid_parameter(cf, "queue", text,
                                 "a size larger than 0, such as \"1m\"");
    }

    size = static_cast<std::size_t>(parsed);
    return true;
}

// `text` stays empty without such a parameter.
bool read_text(ngx_conf_t *cf, const redis_arguments &args, const char *name,
               ngx_str_t &text)
{
    const auto found = args.find(name);

    if (found == args.end()) {
        return true;
    }

    text = found->second;
    return text.len != 0 ||
           invalid_parameter(cf, name, text, "a text that is not empty");
}

bool read_verify(ngx_conf_t *cf, const redis_arguments &args, bool &verify)
{
    const auto found = args.find("verify");

    if (found == args.end() || view(found->second) == "on") {
        return true;
    }

    if (view(found->second) != "off") {
        return invalid_parameter(cf, "verify", found->second,
                                 "\"on\" or \"off\"");
    }

    ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                       "\"verify=off\" in \"websocket_redis\" directive: the "
                       "certificate of the server is not verified");
    verify = false;
    return true;
}

bool read_tls(ngx_conf_t *cf, const redis_arguments &args,
              redis_settings &settings)
{
    tls_files files;
    ngx_str_t server_name{};

    if (!read_text(cf, args, "ca", files.ca) ||
        !read_text(cf, args, "cert", files.certificate) ||
        !read_text(cf, args, "key", files.key) ||
        !read_text(cf, args, "server_name", server_name) ||
        !read_verify(cf, args, settings.verify)) {
        return false;
    }

    if ((files.certificate.len == 0) != (files.key.len == 0)) {
        conf_error(cf, "\"cert=\" and \"key=\" in \"websocket_redis\" "
                       "directive require each other");
        return false;
    }

    settings.server_name = view(server_name);

    if (const std::string why = create_tls(cf, files, settings.tls);
        !why.empty()) {
        conf_error(cf, "cannot use TLS in \"websocket_redis\" directive: %s",
                   why.c_str());
        return false;
    }

    return true;
}

// Without TLS its parameters are refused.
bool refuse_tls(ngx_conf_t *cf, const redis_arguments &args)
{
    for (const std::string_view name : tls_parameters) {
        if (args.contains(name)) {
            conf_error(cf,
                       "\"%s=\" in \"websocket_redis\" directive requires an "
                       "address that begins with \"rediss://\", "
                       "\"sentinels://\" or \"clusters://\"",
                       name.data());
            return false;
        }
    }

    return true;
}

bool read_parameters(ngx_conf_t *cf, std::span<ngx_str_t> texts,
                     redis_settings &settings)
{
    redis_arguments args;

    if (!split_parameters(cf, texts, args) ||
        !read_time(cf, args, "connect_timeout", false,
                   settings.connect_timeout) ||
        !read_time(cf, args, "command_timeout", false,
                   settings.command_timeout) ||
        !read_time(cf, args, "wait", true, settings.wait) ||
        !read_queue(cf, args, settings.queue)) {
        return false;
    }

    if (const auto prefix = args.find("prefix"); prefix != args.end()) {
        settings.prefix = view(prefix->second);
    }

    if (settings.in_cluster() &&
        settings.prefix.find('{') != settings.prefix.npos) {
        return invalid_parameter(cf, "prefix", args.find("prefix")->second,
                                 "a text without \"{\" with a cluster: its "
                                 "slots depend on what follows it");
    }

    return settings.server.address.tls ? read_tls(cf, args, settings)
                                       : refuse_tls(cf, args);
}

// The resolver of the block `http`. Null if it has none: nginx then has a
// resolver without servers.
ngx_resolver_t *resolver_of(ngx_conf_t *cf) noexcept
{
    const auto *core = static_cast<ngx_http_core_loc_conf_t *>(
        ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));

    return core->resolver != nullptr && core->resolver->connections.nelts != 0
               ? core->resolver
               : nullptr;
}

redis_target target_of(const redis::server_address &address)
{
    return {.address = address, .name = address.name(), .peers = {}};
}

} // namespace

char *set_redis(ngx_conf_t *cf, ngx_command_t *, void *conf)
try {
    auto &main = *static_cast<main_configuration *>(conf);
    const auto args = arguments(cf).subspan(1);

    if (main.redis != nullptr) {
        return duplicate();
    }

    const redis::parsed_url url = redis::parse_url(view(args[0]));

    if (!url) {
        return conf_error(
            cf, "invalid address in \"websocket_redis\" directive: %s",
            url.fault.c_str());
    }

    if (const std::string why = hiredis::load(); !why.empty()) {
        return conf_error(cf, "cannot use \"websocket_redis\" directive: %s",
                          why.c_str());
    }

    redis_settings *settings = create_settings(cf);

    if (settings == nullptr) {
        return conf_failed();
    }

    settings->server = target_of(url.target);

    for (const redis::server_address &each : url.target.sentinels) {
        settings->sentinels.push_back(target_of(each));
    }

    for (const redis::server_address &each : url.target.nodes) {
        settings->nodes.push_back(target_of(each));
    }

    if (!read_parameters(cf, args.subspan(1), *settings)) {
        return conf_failed();
    }

    settings->file = view(cf->conf_file->file.name);
    settings->line = cf->conf_file->line;
    main.redis = settings;
    return NGX_CONF_OK;

} catch (const std::bad_alloc &) {
    return conf_failed();
}

// The system's resolver may block, so it is used only here. Workers ask the
// resolver of nginx, if there is one. One sentinel or node that resolves is
// enough.
char *resolve_redis(ngx_conf_t *cf, main_configuration &main)
try {
    redis_settings *settings = main.redis;
    std::vector<std::pair<redis_target *, std::string>> failed;

    if (settings == nullptr) {
        return NGX_CONF_OK;
    }

    settings->resolver = resolver_of(cf);

    const std::span<redis_target> targets =
        !settings->sentinels.empty() ? std::span{settings->sentinels}
        : settings->in_cluster()     ? std::span{settings->nodes}
                                     : std::span{&settings->server, 1};

    for (redis_target &each : targets) {
        std::string why;

        if (!find_peers(cf->pool, each.address, true, each.peers, why)) {
            failed.emplace_back(&each, std::move(why));
        }
    }

    const bool retried = settings->resolver != nullptr;
    const bool usable = retried || failed.size() < targets.size();

    for (const auto &[target, why] : failed) {
        write_log(
            usable ? NGX_LOG_WARN : NGX_LOG_EMERG, cf->log,
            "cannot resolve host \"%V\" of \"websocket_redis\" directive: "
            "%V%V in %V:%ui",
            target->address.host, unquoted{why},
            retried ? "; workers will ask the resolver" : "", settings->file,
            settings->line);
    }

    return usable ? NGX_CONF_OK : conf_failed();

} catch (const std::bad_alloc &) {
    return conf_failed();
}

} // namespace websocket::nginx
