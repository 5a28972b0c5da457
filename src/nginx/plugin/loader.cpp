// Loads plug-in libraries. Each configuration loads them again and unloads them
// with its pool, so a reload uses replaced files.
#include "nginx/plugin/loader.hpp"

#include "handlers/echo.hpp"
#include "handlers/room.hpp"
#include "nginx/backend/handler.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/core/directive_args.hpp"
#include "nginx/plugin/library_file.hpp"
#include "nginx/plugin/load_path.hpp"
#include "nginx/plugin/mapped_file.hpp"
#include "nginx/plugin/plugin_check.hpp"
#include "nginx/plugin/server_api.hpp"
#include "nginx/plugin/trial.hpp"
#include "nginx/resource/resource.hpp"

extern "C" {
#include <ngx_thread_pool.h>
}

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include <dlfcn.h>
#include <unistd.h>

namespace websocket::nginx {

namespace {

std::span<const websocket_handler_t *> handlers_of(ngx_conf_t *cf) noexcept
{
    const main_configuration &conf = *main_conf(cf);

    return {static_cast<const websocket_handler_t **>(conf.handlers.elts),
            conf.handlers.nelts};
}

// Callbacks unknown to an older header are NULL in the copy.
websocket_handler_t *copy_known(ngx_pool_t *pool,
                                const websocket_handler_t &source)
{
    auto *copy = static_cast<websocket_handler_t *>(
        ngx_pcalloc(pool, sizeof(websocket_handler_t)));

    if (copy != nullptr) {
        std::memcpy(static_cast<void *>(copy), &source,
                    std::min(source.size, sizeof(websocket_handler_t)));
    }

    return copy;
}

websocket_handler_t *copy_handler(ngx_pool_t *pool,
                                  const websocket_handler_t &source)
{
    websocket_handler_t *copy = copy_known(pool, source);

    if (copy == nullptr || copy->subscribed_handler == nullptr) {
        return copy;
    }

    websocket_handler_t *subscribed =
        copy_known(pool, *copy->subscribed_handler);

    if (subscribed != nullptr) {
        subscribed->subscribed_handler = nullptr;
    }

    copy->subscribed_handler = subscribed;
    return subscribed == nullptr ? nullptr : copy;
}

bool add_handler(main_configuration &conf, const websocket_handler_t *handler)
{
    auto **slot = static_cast<const websocket_handler_t **>(
        ngx_array_push(&conf.handlers));

    if (slot == nullptr || handler == nullptr) {
        return false;
    }

    *slot = handler;
    return true;
}

// Null: there was no memory to list its handlers.
bool add_built_in(main_configuration &conf, const websocket_plugin_t *built_in)
{
    for (std::size_t i = 0; built_in != nullptr && i != built_in->handler_count;
         i++) {
        if (!add_handler(conf, built_in->handlers[i])) {
            return false;
        }
    }

    return built_in != nullptr;
}

// A library that one configuration has loaded.
struct loaded_library {
    mapped_file file;
    void *handle = nullptr;
    ngx_array_t handlers{}; // of const websocket_handler_t *, in its pool
};

// With "master_process off" this runs while the new configuration serves.
void unload(void *data)
{
    auto *library = static_cast<loaded_library *>(data);
    const std::span handlers{
        static_cast<const websocket_handler_t **>(library->handlers.elts),
        library->handlers.nelts};

    for (const websocket_handler_t *handler : handlers) {
        resource::drop_by_handler(handler);
    }

    if (library->handle != nullptr && library->file.changed()) {
        // exit() would run its destructors, as dlclose() does
        (void)on_exit([](int status, void *) { _exit(status); }, nullptr);

    } else if (library->handle != nullptr) {
        dlclose(library->handle);
    }

    std::destroy_at(library);
}

// If the library has the handler that another one names for subscriptions, both
// refer to the same copy.
void link_handlers(std::span<websocket_handler_t *> copies,
                   const websocket_plugin_t &plugin) noexcept
{
    for (std::size_t i = 0; i != copies.size(); i++) {
        for (std::size_t j = 0; j != copies.size(); j++) {
            if (copies[i]->subscribed_handler != nullptr &&
                plugin.handlers[i]->subscribed_handler == plugin.handlers[j]) {
                copies[i]->subscribed_handler = copies[j];
            }
        }
    }
}

bool add_handlers(main_configuration &conf, loaded_library &library,
                  ngx_pool_t *pool, const websocket_plugin_t &plugin)
{
    std::vector<websocket_handler_t *> copies;

    for (std::size_t i = 0; i != plugin.handler_count; i++) {
        auto *copy = copy_handler(pool, *plugin.handlers[i]);
        auto **slot = static_cast<const websocket_handler_t **>(
            ngx_array_push(&library.handlers));

        if (copy == nullptr || slot == nullptr || !add_handler(conf, copy)) {
            return false;
        }

        *slot = copy;
        copies.push_back(copy);
    }

    link_handlers(copies, plugin);

    // Handlers of an older header cannot send to one client or user
    conf.has_plugins =
        conf.has_plugins ||
        std::any_of(plugin.handlers, plugin.handlers + plugin.handler_count,
                    [](const websocket_handler_t *each) {
                        return each->size >
                               offsetof(websocket_handler_t, direct_received);
                    });
    return true;
}

char *reject_plugin(ngx_conf_t *cf, const ngx_str_t &file, const char *why)
{
    return conf_error(cf, "cannot load plug-in \"%V\": %s", &file, why);
}

// Calls the entry function. Returns "" or an error.
std::string read_plugin(void *library, const websocket_plugin_t *&plugin)
{
    const auto entry = reinterpret_cast<websocket_entry_t>(
        dlsym(library, WEBSOCKET_PLUGIN_ENTRY));

    if (entry == nullptr) {
        return "it has no symbol \"" WEBSOCKET_PLUGIN_ENTRY "\"";
    }

    plugin = entry(&server_api);
    return check_plugin(plugin);
}

// Loads a library that is not loaded yet in a child process. Returns "" or how
// that has ended.
std::string try_new_library(const char *path)
{
    if (void *known = dlopen(path, RTLD_NOW | RTLD_NOLOAD); known != nullptr) {
        dlclose(known);
        return {};
    }

    return run_trial([path] {
        const websocket_plugin_t *plugin = nullptr;

        if (void *library = dlopen(path, RTLD_NOW); library != nullptr) {
            (void)read_plugin(library, plugin);
        }
    });
}

// Returns a handler name that is in use already, or null.
const char *duplicate_name(ngx_conf_t *cf, const websocket_plugin_t &plugin)
{
    for (std::size_t i = 0; i != plugin.handler_count; i++) {
        const char *name = plugin.handlers[i]->name;

        for (std::size_t earlier = 0; earlier != i; earlier++) {
            if (std::strcmp(plugin.handlers[earlier]->name, name) == 0) {
                return name;
            }
        }

        if (find_handler(cf, name) != nullptr) {
            return name;
        }
    }

    return nullptr;
}

} // namespace

void *create_main_configuration(ngx_conf_t *cf)
{
    auto *conf = static_cast<main_configuration *>(
        ngx_pcalloc(cf->pool, sizeof(main_configuration)));

    if (conf == nullptr ||
        ngx_array_init(&conf->handlers, cf->pool, 4,
                       sizeof(const websocket_handler_t *)) != NGX_OK ||
        !add_built_in(*conf, websocket_echo(&server_api)) ||
        !add_built_in(*conf, websocket_room(&server_api)) ||
        !add_handler(*conf, &backend::http_handler)) {
        return nullptr;
    }

    conf->shared_memory = NGX_CONF_UNSET_SIZE;
    conf->room_memory = NGX_CONF_UNSET_SIZE;
    conf->drain_time = NGX_CONF_UNSET_MSEC;
    return conf;
}

char *load_plugin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
try {
    auto &main = *static_cast<main_configuration *>(conf);
    ngx_str_t file = arguments(cf)[1];

    (void)cmd;

    if (ngx_conf_full_name(cf->cycle, &file, 0) != NGX_OK) {
        return conf_failed();
    }

    ngx_pool_cleanup_t *cleanup =
        ngx_pool_cleanup_add(cf->cycle->pool, sizeof(loaded_library));

    if (cleanup == nullptr) {
        return conf_failed();
    }

    const char *path = reinterpret_cast<const char *>(file.data);
    const auto identity = identity_of(path).value_or(file_identity{});

    if (mapped_file::any_changed(identity)) {
        return reject_plugin(cf, file,
                             "it was written into after it had been loaded, so "
                             "running workers may crash; copy the new file "
                             "beside it and rename that, then reload");
    }

    auto *loaded = ::new (cleanup->data) loaded_library{mapped_file(path)};

    cleanup->handler = unload;

    if (ngx_array_init(&loaded->handlers, cf->cycle->pool, 1,
                       sizeof(const websocket_handler_t *)) != NGX_OK) {
        return conf_failed();
    }

    if (is_incomplete_library(path)) {
        return reject_plugin(cf, file,
                             "the file is incomplete; copy it beside the old "
                             "one and rename it");
    }

    const std::string load_name = load_path(path, identity);

    if (const std::string end = try_new_library(load_name.c_str());
        !end.empty()) {
        return reject_plugin(cf, file,
                             ("loading it ends the process " + end).c_str());
    }

    loaded->handle = dlopen(load_name.c_str(), RTLD_NOW);

    if (loaded->handle == nullptr) {
        return reject_plugin(cf, file, dlerror());
    }

    const websocket_plugin_t *plugin = nullptr;

    if (const std::string why = read_plugin(loaded->handle, plugin);
        !why.empty()) {
        return reject_plugin(cf, file, why.c_str());
    }

    if (const char *name = duplicate_name(cf, *plugin); name != nullptr) {
        const std::string why =
            "handler name \"" + std::string(name) + "\" is already in use";
        return reject_plugin(cf, file, why.c_str());
    }

#if (NGX_THREADS)
    // For run_in_background
    if (ngx_thread_pool_add(cf, nullptr) == nullptr) {
        return conf_failed();
    }
#endif

    return add_handlers(main, *loaded, cf->pool, *plugin) ? NGX_CONF_OK
                                                          : conf_failed();

} catch (const std::bad_alloc &) {
    return conf_failed();
}

const websocket_handler_t *find_handler(ngx_conf_t *cf,
                                        std::string_view name) noexcept
{
    for (const websocket_handler_t *handler : handlers_of(cf)) {
        if (handler->name == name) {
            return handler;
        }
    }

    return nullptr;
}

std::string handler_names(ngx_conf_t *cf)
{
    std::string names;

    for (const websocket_handler_t *handler : handlers_of(cf)) {
        names.append(names.empty() ? "" : ", ").append(handler->name);
    }

    return names;
}

} // namespace websocket::nginx
