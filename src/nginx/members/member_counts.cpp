// All clients of a member on this worker are one number in the shared memory.
// So it does not matter which of them are not counted yet.
#include "nginx/members/member_counts.hpp"

#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace websocket::nginx::member_counts {

namespace {

// Members that are counted late in one event.
constexpr std::size_t counted_at_once = 256;

struct waiting_member {
    std::size_t scope_size = 0;
    std::uint64_t client = 0; // one of them; 0: it has left
    std::uint32_t clients = 0;
    std::optional<std::uint32_t> grace;
};

using waiting_map = std::unordered_map<std::string, waiting_member>;

std::optional<waiting_map> waiting;

std::string key_of(std::string_view scope, std::string_view member)
{
    return std::string(scope).append(1, '\0').append(member);
}

void log_no_memory() noexcept
{
    static log_throttle line;

    if (log_permit permit = line.allows(); permit) {
        write_log(NGX_LOG_ERR, ngx_cycle->log,
                  "websocket: no memory for the id or the user of one more "
                  "client in websocket_shared_memory, of which a quarter is "
                  "for them; until others leave, messages to it get 404 and "
                  "presence is incomplete; increase "
                  "websocket_shared_memory%V",
                  permit.suppressed());
    }
}

void add_waiting(std::string_view scope, std::string_view member,
                 std::uint64_t client, std::optional<std::uint32_t> grace)
{
    waiting_member &entry = (*waiting)[key_of(scope, member)];

    entry.scope_size = scope.size();
    entry.client = client;
    entry.clients++;
    entry.grace = grace ? grace : entry.grace;
    log_no_memory();
}

bool remove_waiting(std::string_view scope, std::string_view member,
                    std::uint64_t client)
{
    if (waiting->empty()) {
        return false;
    }

    const auto found = waiting->find(key_of(scope, member));

    if (found == waiting->end()) {
        return false;
    }

    if (found->second.client == client) {
        found->second.client = 0;
    }

    if (--found->second.clients == 0) {
        waiting->erase(found);
    }

    return true;
}

// Counts one client. False: there is no memory.
bool count_one(waiting_map::iterator at, counted_late on_counted)
{
    const std::string_view name = at->first;
    const std::string_view scope = name.substr(0, at->second.scope_size);
    const std::string_view member = name.substr(at->second.scope_size + 1);
    const broker::added_member added = worker_bus::broker().add_member(
        worker_bus::slot(), scope, member, worker_bus::now(), at->second.grace);

    if (added.result == broker::outcome::no_memory) {
        return false;
    }

    at->second.clients--;

    if (at->second.grace) {
        on_counted(scope, member, at->second.client, added);
    }

    if (at->second.clients == 0) {
        waiting->erase(at);
    }

    return true;
}

} // namespace

void start() noexcept
{
    waiting.emplace();
}

void stop() noexcept
{
    waiting.reset();
}

broker::added_member add(std::string_view scope, std::string_view member,
                         std::uint64_t client,
                         std::optional<std::uint32_t> grace)
{
    const broker::added_member added = worker_bus::broker().add_member(
        worker_bus::slot(), scope, member, worker_bus::now(), grace);

    if (added.result == broker::outcome::no_memory) {
        add_waiting(scope, member, client, grace);
    }

    return added;
}

void add_later(std::string_view scope, std::string_view member,
               std::uint64_t client)
{
    add_waiting(scope, member, client, std::nullopt);
}

broker::removed_member remove(std::string_view scope, std::string_view member,
                              std::uint64_t client)
{
    if (remove_waiting(scope, member, client)) {
        return {.result = broker::outcome::done, .clients = 0, .grace = {}};
    }

    return worker_bus::broker().remove_member(worker_bus::slot(), scope, member,
                                              false);
}

bool count_waiting(counted_late on_counted)
{
    for (std::size_t i = 0; i != counted_at_once; i++) {
        if (waiting->empty() || !count_one(waiting->begin(), on_counted)) {
            return false;
        }
    }

    return true;
}

} // namespace websocket::nginx::member_counts
