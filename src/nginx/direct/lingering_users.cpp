// Ends users by the time at which their grace is over.
#include "nginx/direct/lingering_users.hpp"

#include "nginx/core/timer.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

// Users that end in one event.
constexpr std::size_t most_at_once = 256;

} // namespace

lingering_users::lingering_users(end_function end) noexcept : end_user_{end}
{
    init_timer(timer_, on_timer, ngx_cycle->log);
    timer_.data = this;
}

lingering_users::~lingering_users()
{
    if (timer_.timer_set) {
        ngx_del_timer(&timer_);
    }
}

void lingering_users::add(std::string_view scope, std::string_view user,
                          std::uint64_t client, std::uint32_t grace,
                          std::size_t limit)
{
    std::string name(scope);

    name.append(1, '\0').append(user);

    const auto it = users_.try_emplace(std::move(name)).first;
    lingering &added = it->second;

    unlist(added);
    added.scope_size = scope.size();
    added.client = client;

    try {
        list(*it, user, ngx_current_msec + grace);
    } catch (const std::bad_alloc &) {
        users_.erase(it);
        throw;
    }

    user_scopes &all = added.among->second;

    if (all.count > limit) {
        auto &earliest = static_cast<lingering &>(*ngx_queue_head(&all));

        (void)end_one(*earliest.end->second);
    }

    start_timer();
}

void lingering_users::list(user_map::value_type &added, std::string_view user,
                           ngx_msec_t end)
{
    const auto [of, is_new] = scopes_of_.try_emplace(std::string(user));

    if (is_new) {
        ngx_queue_init(&of->second);
    }

    try {
        added.second.end = ends_.emplace(end, &added);
    } catch (const std::bad_alloc &) {
        if (is_new) {
            scopes_of_.erase(of);
        }
        throw;
    }

    added.second.among = &*of;
    of->second.count++;
    ngx_queue_insert_tail(&of->second, &added.second);
}

void lingering_users::unlist(lingering &removed) noexcept
{
    scopes_map::value_type *of = std::exchange(removed.among, nullptr);

    if (of == nullptr) {
        return;
    }

    ends_.erase(removed.end);
    ngx_queue_remove(&removed);

    if (--of->second.count == 0) {
        scopes_of_.erase(scopes_of_.find(of->first));
    }
}

// Without memory the user stays in all lists.
bool lingering_users::end_one(const user_map::value_type &ended) noexcept
{
    const auto it = users_.find(ended.first);
    const std::string_view name = it->first;
    const std::size_t size = it->second.scope_size;

    if (!end_user_(name.substr(0, size), name.substr(size + 1),
                   it->second.client)) {
        return false;
    }

    unlist(it->second);
    users_.erase(it);
    return true;
}

void lingering_users::end_due() noexcept
{
    for (std::size_t i = 0;
         i != most_at_once && worker_bus::running() && !ends_.empty() &&
         ends_.begin()->first <= ngx_current_msec;
         i++) {
        if (!end_one(*ends_.begin()->second)) {
            ngx_add_timer(&timer_, retry_interval);
            return;
        }
    }

    start_timer();
}

void lingering_users::start_timer() noexcept
{
    if (ends_.empty()) {
        return;
    }

    const ngx_msec_t end = ends_.begin()->first;

    if (timer_.timer_set && timer_.timer.key <= end) {
        return;
    }

    ngx_add_timer(&timer_, end > ngx_current_msec ? end - ngx_current_msec : 1);
}

void lingering_users::on_timer(ngx_event_t *event) noexcept
{
    static_cast<lingering_users *>(event->data)->end_due();
}

} // namespace websocket::nginx
