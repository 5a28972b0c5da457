// What the locations of a configuration say together of their resources.
//
// Locations with the same handler and key text share a history, the largest
// that one of them asks for; the resource's object has the parameters of the
// first of them.
#include "nginx/core/configuration.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/module/setters.hpp"
#include "nginx/publish/publish.hpp"
#include "nginx/resource/resource.hpp"

#include <functional>
#include <map>
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
    const handler_location *keeper = nullptr;  // the first with a history
    bool asks = false;                         // one of them does
    broker::limits history{};
};

// Those of one handler.
struct handler_group {
    const handler_location *clients = nullptr;
    std::map<std::string_view, location_group> keys{};
    const broker::history_rules *rules = nullptr;
};

using handler_groups = std::map<const websocket_handler_t *, handler_group>;

std::span<const handler_location> locations_of(ngx_conf_t *cf) noexcept
{
    const ngx_array_t *all = main_conf(cf)->locations;

    if (all == nullptr) {
        return {};
    }

    return {static_cast<const handler_location *>(all->elts), all->nelts};
}

// One that only publishes asks for a history if it has parameters.
bool asks(const handler_location &location) noexcept
{
    return !location.conf->publishes || location.conf->parameters->nelts != 0;
}

// The same in each configuration that has the key text.
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

std::string words_of(const broker::limits &history)
{
    std::string words = std::to_string(history.messages) + " messages";

    if (history.milliseconds != 0) {
        words += " of " + std::to_string(history.milliseconds) + " ms";
    }

    return words;
}

void warn(ngx_conf_t *cf, const handler_location &first,
          const handler_location &other)
{
    const std::string one = words_of(first.history);
    const std::string two = words_of(other.history);

    write_log(NGX_LOG_WARN, cf->log,
              "\"websocket %V %V\" asks for a history of %V in %V:%ui and of "
              "%V in %V:%ui: clients of both locations share the larger one, "
              "give both the same",
              first.conf->handler->name, first.key, one, first.file, first.line,
              two, other.file, other.line);
}

void add_to_group(ngx_conf_t *cf, location_group &group,
                  const handler_location &added)
{
    if (group.clients == nullptr && !added.conf->publishes) {
        group.clients = &added;
    }

    if (!asks(added)) {
        return;
    }

    group.asks = true;
    group.history = broker::larger(group.history, added.history);

    // One that keeps nothing of its own shares what the others keep
    if (added.history.messages == 0) {
        return;
    }

    if (group.keeper == nullptr) {
        group.keeper = &added;
    } else if (!same(group.keeper->history, added.history)) {
        warn(cf, *group.keeper, added);
    }
}

handler_groups group_locations(ngx_conf_t *cf)
{
    handler_groups groups;

    for (const handler_location &each : locations_of(cf)) {
        handler_group &group = groups[each.conf->handler];

        if (group.clients == nullptr && !each.conf->publishes) {
            group.clients = &each;
        }

        add_to_group(cf, group.keys[view(each.key)], each);
    }

    return groups;
}

// In the configuration's memory. Null without memory.
const broker::history_rules *make_rules(ngx_conf_t *cf,
                                        const handler_group &group)
{
    using rule = broker::history_rules::rule;

    std::map<broker::history_source, broker::limits> sorted;

    for (const auto &[key, locations] : group.keys) {
        broker::limits &found = sorted[history_source_of(key)];
        found = broker::larger(found, locations.history);
    }

    auto *rules =
        static_cast<rule *>(ngx_palloc(cf->pool, sorted.size() * sizeof(rule)));
    void *place = ngx_palloc(cf->pool, sizeof(broker::history_rules));

    if (rules == nullptr || place == nullptr) {
        return nullptr;
    }

    rule *next = rules;

    for (const auto &[source, history] : sorted) {
        ::new (next++) rule{source, history};
    }

    return ::new (place) broker::history_rules({rules, next});
}

// One that publishes and has none has those of the clients whose resources it
// names, by the look of it: of the same key text, else any of the handler.
parameter_list object_parameters(const handler_location &of,
                                 const handler_group &handler,
                                 const location_group &group) noexcept
{
    if (of.conf->publishes && of.conf->parameters->nelts != 0) {
        return parameters_of(*of.conf);
    }

    const handler_location *clients =
        group.clients != nullptr ? group.clients : handler.clients;

    return parameters_of(clients != nullptr ? *clients->conf : *of.conf);
}

// A handler that cannot do without parameters says so.
bool can_do_without(ngx_conf_t *cf, const handler_location &publisher)
{
    const location_configuration &own = *publisher.conf;
    broker::limits history;
    const std::string wrong =
        resource::check(own.handler, parameters_of(own), history);

    if (!wrong.empty()) {
        write_log(NGX_LOG_EMERG, cf->log,
                  "\"websocket_publish %V\": %V in %V:%ui", own.handler->name,
                  unquoted{wrong}, publisher.file, publisher.line);
    }

    return wrong.empty();
}

// What is published before the first client comes is kept for whichever does.
bool complete(ngx_conf_t *cf, const handler_location &location,
              const handler_group &handler)
{
    const location_group &group = handler.keys.at(view(location.key));

    *location.conf->terms = {
        .parameters = object_parameters(location, handler, group),
        .rules = handler.rules,
        .source = group.asks ? history_source_of(view(location.key))
                             : broker::any_source};

    return handler.clients != nullptr || asks(location) ||
           can_do_without(cf, location);
}

} // namespace

ngx_int_t complete_locations(ngx_conf_t *cf)
try {
    handler_groups groups = group_locations(cf);

    for (auto &[handler, group] : groups) {
        group.rules = make_rules(cf, group);

        if (group.rules == nullptr) {
            return NGX_ERROR;
        }
    }

    for (const handler_location &each : locations_of(cf)) {
        if (!complete(cf, each, groups.at(each.conf->handler))) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;

} catch (const std::bad_alloc &) {
    return NGX_ERROR;
}

} // namespace websocket::nginx
