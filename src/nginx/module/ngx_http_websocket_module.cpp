// The module table: the functions that nginx calls.
#include "nginx/events/answer_filters.hpp"
#include "nginx/backend/client_numbers.hpp"
#include "nginx/core/first_exception.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/identity/bearer_offer.hpp"
#include "nginx/module/content_handlers.hpp"
#include "nginx/core/module_file.hpp"
#include "nginx/module/process.hpp"
#include "nginx/module/setters.hpp"
#include "nginx/module/variables.hpp"
#include "nginx/plugin/loader.hpp"
#include "nginx/publish/cors.hpp"
#include "nginx/request/saved_variables.hpp"
#include "nginx/workers/shared_zone.hpp"

namespace {

namespace ours = websocket::nginx;

ngx_int_t prepare(ngx_conf_t *cf)
{
    ours::throw_first_exception();
    return ours::add_variables(cf);
}

ngx_int_t complete(ngx_conf_t *cf)
{
    ours::warn_of_replaced_handlers(cf);
    ours::backend::install_answer_filters();
    return ours::complete_locations(cf) == NGX_OK &&
                   ours::install_cors(cf) == NGX_OK &&
                   ours::install_bearer_hiding(cf) == NGX_OK
               ? ours::add_shared_zone(cf)
               : NGX_ERROR;
}

ngx_int_t init_module(ngx_cycle_t *cycle)
{
    ours::check_module_file(*cycle);
    ours::commit_zone(*cycle);
    ours::backend::begin_client_numbers(*cycle);
    return ours::classify_variables(cycle);
}

ngx_http_module_t module_context = {
    prepare,  // preconfiguration
    complete, // postconfiguration

    ours::create_main_configuration,
    ours::init_main_configuration,

    nullptr, // create server configuration
    nullptr, // merge server configuration

    ours::create_location_configuration,
    ours::merge_location_configuration,
};

ngx_core_module_t end_context = {
    ngx_string("websocket_end"),
    nullptr, // create configuration
    nullptr, // init configuration
};

} // namespace

extern "C" {

extern ngx_module_t ngx_websocket_end_module;

ngx_module_t ngx_http_websocket_module = {
    NGX_MODULE_V1,
    &module_context,
    ours::commands,
    NGX_HTTP_MODULE,
    nullptr, // init master
    init_module,
    ours::start_worker, // init process
    nullptr,            // init thread
    nullptr,            // exit thread
    ours::exit_worker,
    nullptr, // exit master
    NGX_MODULE_V1_PADDING,
};

// nginx calls the exit functions of modules in their order. This module is
// before those that flush the access log and end the thread pools: see
// ngx_module_order in the file `config`.
ngx_module_t ngx_websocket_end_module = {
    NGX_MODULE_V1,
    &end_context,
    nullptr, // commands
    NGX_CORE_MODULE,
    nullptr, // init master
    nullptr, // init module
    nullptr, // init process
    nullptr, // init thread
    nullptr, // exit thread
    ours::end_worker,
    nullptr, // exit master
    NGX_MODULE_V1_PADDING,
};
}
