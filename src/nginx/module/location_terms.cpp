// Finds the parameters and the history of the resources of all locations.
//
// Locations with the same handler and key text share a history: the largest
// that one of them asks for. The handler's object of a resource has the
// parameters of the first of these locations.
#include "nginx/events/settings.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/core/room_pattern.hpp"
#include "nginx/module/setters.hpp"
#include "nginx/publish/publish.hpp"
#include "nginx/resource/resource.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace websocket::nginx {

namespace {

// The locations with one key text.
struct location_group {
    const handler_location *clients = nullptr; // the first with `websocket`
    const history_directive *keeper = nullptr; // the first with a history
    bool sets_history = false; // true if one location does, even to none
    broker::limits history{};
};

// The locations with handlers of one name.
struct handler_group {
    const handler_location *clients = nullptr;
    std::map<std::string_view, location_group> keys{};
    std::vector<broker::history_rules::name_rule> names{}; // of patterns
    const broker::history_rules *rules = nullptr;
};

using handler_groups = std::map<std::string_view, handler_group>;

std::span<const handler_location> locations_of(ngx_conf_t *cf) noexcept
{
    const ngx_array_t *all = main_conf(cf)->locations;

    if (all == nullptr) {
        return {};
    }

    return {static_cast<const handler_location *>(all->elts), all->nelts};
}

std::span<const pattern_directive> patterns_of(ngx_conf_t *cf) noexcept
{
    const ngx_array_t *all = main_conf(cf)->patterns;

    if (all == nullptr) {
        return {};
    }

    return {static_cast<const pattern_directive *>(all->elts), all->nelts};
}

// A location that only publishes sets the history if it has parameters.
bool sets_history(const handler_location &location) noexcept
{
    return !location.conf->publishes || location.conf->parameters->nelts != 0;
}

// Returns the same number in each configuration that has the key text.
broker::history_source history_source_of(std::string_view key) noexcept
{
    const auto hash =
        static_cast<broker::history_source>(std::hash<std::string_view>{}(key));

    return hash == broker::no_source || hash == broker::any_source ? 1 : hash;
}

bool same(const broker::limits &one, const broker::limits &other) noexcept
{
    return one.messages == other.messages &&
           one.milliseconds == other.milliseconds;
}

std::string describe(const broker::limits &history)
{
    std::string text = std::to_string(history.messages) + " messages";

    if (history.milliseconds != 0) {
        text += " of " + std::to_string(history.milliseconds) + " ms";
    }

    return text;
}

void warn_of_histories(ngx_conf_t *cf, const websocket_handler_t &handler,
                       const history_directive &first,
                       const history_directive &other)
{
    write_log(NGX_LOG_WARN, cf->log,
              "different histories for handler \"%V\" and key \"%V\": %V in "
              "%V:%ui, %V in %V:%ui; clients of both locations get the larger "
              "one, configure both alike",
              handler.name, first.key, unquoted{describe(first.history)},
              first.file, first.line, unquoted{describe(other.history)},
              other.file, other.line);
}

void add_history(ngx_conf_t *cf, location_group &group,
                 const websocket_handler_t &handler,
                 const history_directive &added)
{
    group.sets_history = true;
    group.history = broker::larger(group.history, added.history);

    // A location without a history may share that of the others
    if (added.history.messages == 0) {
        return;
    }

    if (group.keeper == nullptr) {
        group.keeper = &added;
    } else if (!same(group.keeper->history, added.history)) {
        warn_of_histories(cf, handler, *group.keeper, added);
    }
}

void add_to_group(ngx_conf_t *cf, location_group &group,
                  const handler_location &added)
{
    if (group.clients == nullptr && !added.conf->publishes) {
        group.clients = &added;
    }

    if (sets_history(added)) {
        add_history(cf, group, *added.conf->handler, added);
    }
}

// Publishers ask for the same history as subscribers, also before there is one.
// The values of variables are not known here: any name fits that begins as the
// pattern does.
broker::history_rules::name_rule
name_rule_of(const pattern_directive &pattern) noexcept
{
    const std::string_view text = view(pattern.key);
    const std::string_view beginning = text.substr(0, text.find_first_of("$*"));

    return {beginning, beginning.size() == text.size(), pattern.history};
}

handler_groups group_locations(ngx_conf_t *cf)
{
    handler_groups groups;

    for (const handler_location &each : locations_of(cf)) {
        handler_group &group = groups[each.conf->handler->name];

        if (group.clients == nullptr && !each.conf->publishes) {
            group.clients = &each;
        }

        add_to_group(cf, group.keys[view(each.key)], each);
    }

    for (const pattern_directive &each : patterns_of(cf)) {
        handler_group &group = groups[each.handler->name];

        add_history(cf, group.keys[view(each.key)], *each.handler, each);
        group.names.push_back(name_rule_of(each));
    }

    return groups;
}

// The rules are in the configuration's memory. Null without memory.
const broker::history_rules *create_rules(ngx_conf_t *cf,
                                          const handler_group &group)
{
    using rule = broker::history_rules::rule;
    using name_rule = broker::history_rules::name_rule;

    std::map<broker::history_source, broker::limits> sorted;

    for (const auto &[key, locations] : group.keys) {
        broker::limits &found = sorted[history_source_of(key)];
        found = broker::larger(found, locations.history);
    }

    auto *rules = static_cast<rule *>(
        ngx_palloc(cf->pool, sorted.size() * sizeof(rule) + 1));
    auto *names = static_cast<name_rule *>(
        ngx_palloc(cf->pool, group.names.size() * sizeof(name_rule) + 1));
    void *memory = ngx_palloc(cf->pool, sizeof(broker::history_rules));

    if (rules == nullptr || names == nullptr || memory == nullptr) {
        return nullptr;
    }

    rule *next = rules;

    for (const auto &[source, history] : sorted) {
        ::new (next++) rule{source, history};
    }

    std::uninitialized_copy(group.names.begin(), group.names.end(), names);
    return ::new (memory)
        broker::history_rules({rules, next}, {names, group.names.size()});
}

// A location that publishes and has no parameters takes those of the clients'
// location with the same key text, else of the handler's first one.
parameter_list object_parameters(const handler_location &location,
                                 const handler_group &handler,
                                 const location_group &group) noexcept
{
    if (location.conf->publishes && location.conf->parameters->nelts != 0) {
        return parameters_of(*location.conf);
    }

    const handler_location *clients =
        group.clients != nullptr ? group.clients : handler.clients;

    return parameters_of(clients != nullptr ? *clients->conf : *location.conf);
}

// False, and logged, if the handler requires parameters.
bool check_without_parameters(ngx_conf_t *cf, const handler_location &publisher)
{
    const location_configuration &conf = *publisher.conf;
    broker::limits history;
    const std::string error =
        resource::check(conf.handler, parameters_of(conf), history);

    if (!error.empty()) {
        write_log(NGX_LOG_EMERG, cf->log,
                  "invalid parameters of handler \"%V\" in "
                  "\"websocket_publish\" directive: %V in %V:%ui",
                  conf.handler->name, unquoted{error}, publisher.file,
                  publisher.line);
    }

    return error.empty();
}

// A location that sets no history uses any that the resource has: messages
// published before the first client connects are kept for it.
bool complete(ngx_conf_t *cf, const handler_location &location,
              const handler_group &handler)
{
    const location_group &group = handler.keys.at(view(location.key));

    *location.conf->terms = {
        .parameters = object_parameters(location, handler, group),
        .rules = handler.rules,
        .source = group.sets_history ? history_source_of(view(location.key))
                                     : broker::any_source};

    return handler.clients != nullptr || sets_history(location) ||
           check_without_parameters(cf, location);
}

// Null: the server has no location of that name.
const location_configuration *find_named(const ngx_http_core_srv_conf_t &server,
                                         std::string_view name) noexcept
{
    for (auto **at = server.named_locations; at != nullptr && *at != nullptr;
         at++) {
        if (view((*at)->name) == name) {
            return static_cast<const location_configuration *>(
                (*at)->loc_conf[ngx_http_websocket_module.ctx_index]);
        }
    }

    return nullptr;
}

// Such a location answers events with 405, so that it refuses all clients.
bool passes_to_websocket(ngx_conf_t *cf, const backend::settings &of) noexcept
{
    if (of.passes_to_name()) {
        const auto *named = find_named(*of.server, view(of.pass));

        return named != nullptr && named->handler != nullptr;
    }

    return std::ranges::any_of(locations_of(cf), [&of](const auto &other) {
        return other.conf->backend != nullptr &&
               other.conf->backend->server == of.server &&
               view(other.location) == view(of.pass);
    });
}

void warn_of_pass(ngx_conf_t *cf, const handler_location &location) noexcept
{
    write_log(NGX_LOG_WARN, cf->log,
              "location \"%V\" in %V:%ui passes its events to \"%V\", which is "
              "for WebSocket clients and refuses them",
              location.location, location.file, location.line,
              location.conf->backend->pass);
}

// Gives the location an id that no other one has.
bool complete_backend(ngx_conf_t *cf, const handler_location &location) noexcept
{
    backend::settings &completed = *location.conf->backend;

    completed.id =
        backend::id_of(completed, view(location.location), view(location.key));

    while (std::ranges::any_of(locations_of(cf), [&](const auto &other) {
        return other.conf->backend != nullptr &&
               other.conf->backend != &completed &&
               other.conf->backend->id == completed.id;
    })) {
        completed.id++;
    }

    if (passes_to_websocket(cf, completed)) {
        warn_of_pass(cf, location);
    }

    return backend::check_pass(cf, completed);
}

bool requires_token(const room_pattern &pattern) noexcept
{
    return std::ranges::any_of(pattern.parameters, [](const auto &each) {
        return each.name == "access" && each.value == "token";
    });
}

void warn_of_rooms(ngx_conf_t *cf, const handler_location &location,
                   std::string_view problem)
{
    write_log(NGX_LOG_WARN, cf->log,
              "location \"%V\" in %V:%ui has \"websocket rooms\" and %V",
              location.location, location.file, location.line,
              unquoted{problem});
}

// Warns of locations whose clients cannot be in any room, or in none of some
// patterns.
void check_rooms(ngx_conf_t *cf, const handler_location &location)
{
    const location_configuration &conf = *location.conf;

    if (conf.handler->name != std::string_view("rooms") || conf.publishes) {
        return;
    }

    const auto patterns = nginx::patterns_of(conf.room_patterns);

    if (patterns.empty()) {
        warn_of_rooms(cf, location,
                      "no \"websocket_rooms\": all rooms are refused");
        return;
    }

    const auto found = std::ranges::find_if(patterns, requires_token);

    if (conf.tokens == nullptr && found != patterns.end()) {
        warn_of_rooms(cf, location,
                      "\"access=token\" but no \"websocket_jwt\": rooms of "
                      "the pattern \"" +
                          std::string(found->text) +
                          (found->prefix ? "*" : "") + "\" are refused");
    }
}

} // namespace

ngx_int_t complete_locations(ngx_conf_t *cf)
try {
    handler_groups groups = group_locations(cf);

    for (auto &[name, group] : groups) {
        group.rules = create_rules(cf, group);

        if (group.rules == nullptr) {
            return NGX_ERROR;
        }
    }

    for (const handler_location &each : locations_of(cf)) {
        if (each.conf->backend != nullptr && !complete_backend(cf, each)) {
            return NGX_ERROR;
        }

        if (!complete(cf, each, groups.at(each.conf->handler->name))) {
            return NGX_ERROR;
        }

        check_rooms(cf, each);
    }

    for (const pattern_directive &each : patterns_of(cf)) {
        *each.terms = {.parameters = each.parameters,
                       .rules = groups.at(each.handler->name).rules,
                       .source = history_source_of(view(each.key))};
    }

    return NGX_OK;

} catch (const std::bad_alloc &) {
    return NGX_ERROR;
}

} // namespace websocket::nginx
