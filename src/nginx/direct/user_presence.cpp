// Reports users who join and leave in the logs of resources.
//
// A user's first entry follows the first client, and no other worker can end
// the user before it. The last entry is appended in the hold of the lock in
// which the user ends. So the entries are in the order of what has happened.
#include "nginx/direct/user_presence.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/direct/direct_target.hpp"
#include "nginx/direct/lingering_users.hpp"
#include "nginx/members/member_counts.hpp"
#include "nginx/resource/resource.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <new>
#include <optional>
#include <string>

namespace websocket::nginx::user_presence {

namespace {

constexpr std::int64_t max_grace = 86'400'000; // ms

// Lost users that end, or begin to linger, in one event.
constexpr std::size_t ends_at_once = 256;

void log_no_memory() noexcept
{
    static log_throttle line;

    if (log_permit permit = line.allows(); permit) {
        write_log(NGX_LOG_ERR, ngx_cycle->log,
                  "websocket: no memory in websocket_shared_memory for the "
                  "event that a user has joined or left%V",
                  permit.suppressed());
    }
}

// The log of the resource whose users the scope has.
std::string log_of(std::string_view scope)
{
    std::string name(scope);
    const std::size_t separator = name.find('@');

    if (separator != name.npos) {
        name[separator] = ':';
    }

    return name;
}

broker::publication entry_of(std::uint8_t kind, std::string_view user,
                             std::uint64_t client) noexcept
{
    return {.payload = std::as_bytes(std::span(user)),
            .from = client,
            .time = worker_bus::now(),
            .kind = kind,
            .transient = true};
}

// Redis decides whether the user has joined or left. The leader repeats it a
// second later, since two workers may publish in another order than theirs.
void publish_to_hosts(std::string_view log, std::string_view user,
                      const broker::publication &entry)
{
    const auto ignore = [](void *, const publish_outcome &) noexcept {};

    if (!backplane::publish({.kind = publish_kind::transient,
                             .name = log,
                             .what = entry,
                             .history = {},
                             .may_be_late = true,
                             .on_result = ignore,
                             .data = nullptr})) {
        backplane::clients_changed(log, true);
    }

    backplane::user_changed(log, user);
}

void publish_joined(std::string_view log, std::string_view user,
                    std::uint64_t client)
{
    const broker::publication entry = entry_of(kind_user_joined, user, client);

    if (backplane::enabled()) {
        publish_to_hosts(log, user, entry);
        return;
    }

    const broker::append_result done =
        worker_bus::broker().append(log, entry, {}, worker_bus::now());

    if (done.result == broker::outcome::no_memory) {
        log_no_memory();
    }

    worker_bus::log_dropped(log, done);
    worker_bus::wake(done.wake);
}

// Ends a user who lingers on this worker, unless a client has returned. False:
// no memory for the entry, the user lingers on.
bool end_user(std::string_view scope, std::string_view user,
              std::uint64_t client)
{
    const std::string log = log_of(scope);
    const broker::publication entry = entry_of(kind_user_left, user, client);

    if (backplane::enabled()) {
        if (worker_bus::broker().end_member(worker_bus::slot(), scope, user)) {
            publish_to_hosts(log, user, entry);
        }
        return true;
    }

    const broker::ended_member done = worker_bus::broker().end_member(
        worker_bus::slot(), scope, user, log, entry, worker_bus::now());

    worker_bus::log_dropped(log, done.appended);
    worker_bus::wake(done.appended.wake);
    return done.appended.result != broker::outcome::no_memory;
}

// As a lingering_users::end_function.
bool end_lingering(std::string_view scope, std::string_view user,
                   std::uint64_t client) noexcept
{
    try {
        if (end_user(scope, user, client)) {
            return true;
        }
    } catch (const std::bad_alloc &) {}

    log_no_memory();
    return false;
}

std::optional<lingering_users> all_lingering;

// Without memory for the grace, the user ends at once.
void linger(std::string_view scope, std::string_view user, std::uint64_t client,
            std::uint32_t grace, std::size_t limit)
{
    try {
        all_lingering->add(scope, user, client, grace, limit);
    } catch (const std::bad_alloc &) {
        (void)end_user(scope, user, client);
    }
}

// Absent: nobody wants to know when the client's user joins and leaves.
std::optional<std::uint32_t> grace_for(const session &client,
                                       const resource &target,
                                       bool subscribed) noexcept
{
    const auto wanted = target.handler().presence_grace;
    const std::int64_t grace =
        wanted == nullptr
            ? -1
            : wanted(target.object(), client.object(), subscribed ? 1 : 0);

    return grace < 0 ? std::nullopt
                     : std::optional(static_cast<std::uint32_t>(
                           std::min(grace, max_grace)));
}

} // namespace

void start() noexcept
{
    all_lingering.emplace(end_lingering);
}

void stop() noexcept
{
    all_lingering.reset();
}

void report_added(std::string_view scope, std::string_view user,
                  std::uint64_t client, const broker::added_member &added)
{
    const std::string log = log_of(scope);

    if (added.was_absent) {
        publish_joined(log, user, client);
    } else if (added.clients == 1 && backplane::enabled()) {
        // Another host may have removed a user who lingered
        backplane::user_changed(log, user);
    }
}

void enter(session &client, const resource &target, bool subscribed) noexcept
try {
    if (client.user().empty() || !worker_bus::running()) {
        return;
    }

    const auto grace = grace_for(client, target, subscribed);
    const std::string scope = users_of(target.handler().name, target.name());
    const broker::added_member added =
        member_counts::add(scope, client.user(), client.id(), grace);

    if (grace && added.result != broker::outcome::no_memory) {
        report_added(scope, client.user(), client.id(), added);
    }
} catch (const std::bad_alloc &) {}

void leave(const session &client, const websocket_handler_t &handler,
           std::string_view key) noexcept
try {
    if (client.user().empty() || !worker_bus::running()) {
        return;
    }

    const std::string scope = users_of(handler.name, key);
    const broker::removed_member removed =
        member_counts::remove(scope, client.user(), client.id());

    if (!removed.grace ||
        (*removed.grace == 0 && end_user(scope, client.user(), client.id()))) {
        return;
    }

    linger(scope, client.user(), client.id(),
           *removed.grace != 0 ? *removed.grace
                               : lingering_users::retry_interval,
           client.configuration().max_rooms);
} catch (const std::bad_alloc &) {}

bool end_lost_members() noexcept
try {
    std::array<char, broker::max_name_size> scope;
    std::array<char, broker::max_user_size> user;

    for (std::size_t i = 0; i != ends_at_once; i++) {
        if (!worker_bus::running()) {
            return false;
        }

        const auto lost = worker_bus::broker().take_lost_member(
            worker_bus::slot(), scope, user);

        if (!lost) {
            return false;
        }

        if (lost->grace) {
            linger(lost->scope, lost->user, 0, *lost->grace, SIZE_MAX);
        } else {
            (void)worker_bus::broker().end_member(worker_bus::slot(),
                                                  lost->scope, lost->user);
        }
    }

    return true;

} catch (const std::bad_alloc &) {
    return false;
}

std::uint64_t count(const resource &target)
{
    const std::uint64_t clients = target.client_count();

    if (!worker_bus::running()) {
        return clients;
    }

    const broker::counted_scope users = worker_bus::broker().count_scope(
        users_of(target.handler().name, target.name()));

    return std::max<std::uint64_t>(clients, users.clients) - users.clients +
           users.members;
}

} // namespace websocket::nginx::user_presence
