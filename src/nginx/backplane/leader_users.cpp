// The users of resources in Redis: which hosts each of them is on.
//
// Workers publish each change, and Redis announces users who join the first
// host or leave the last one. The leader repeats what has changed, with the
// state that the host has by then. After each sync of a resource it registers
// all users again, and removes those who are gone.
#include "nginx/backplane/leader.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "redis/keys.hpp"

#include <array>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace websocket::nginx {

namespace {

// Users of one call.
constexpr std::size_t users_at_once = 100;

// Users of a page of those in Redis.
constexpr std::string_view registered_at_once = "500";

struct users_call {
    redis_leader &leader;
    std::string name;
    std::vector<std::string> users;
};

struct member_buffers {
    std::array<char, users_at_once * broker::max_user_size> bytes;
    std::array<broker::listed_member, users_at_once> members;
};

bool users_are_known() noexcept
{
    return main_conf_of(*ngx_cycle).has_users;
}

} // namespace

void redis_leader::user_changed(std::string_view name_and_user)
{
    const std::size_t separator = name_and_user.rfind('\0');

    if (separator != name_and_user.npos) {
        changed_users_[std::string(name_and_user.substr(0, separator))].emplace(
            name_and_user.substr(separator + 1));
    }
}

// A second after the change: by then the workers have published it.
void redis_leader::check_users()
{
    const user_sets checked =
        std::exchange(checked_users_, std::exchange(changed_users_, {}));

    for (const auto &[name, users] : checked) {
        for (auto at = users.begin(); at != users.end();) {
            std::vector<std::string> some;

            for (; at != users.end() && some.size() != users_at_once; ++at) {
                some.push_back(*at);
            }

            send_users(name, std::move(some), false);
        }
    }
}

void redis_leader::send_users(std::string_view name,
                              std::vector<std::string> users, bool quiet)
{
    auto call = std::make_unique<users_call>(
        users_call{*this, std::string(name), std::move(users)});
    std::vector<changed_user> changed;

    changed.reserve(call->users.size());

    for (const std::string &each : call->users) {
        changed.push_back({each, 0});
    }

    if (set_users(redis, name, changed, "", quiet, on_users_reply,
                  call.get())) {
        (void)call.release();
        return;
    }

    for (std::string &each : call->users) {
        changed_users_[call->name].insert(std::move(each));
    }
}

void redis_leader::on_users_reply(void *data, const redisReply *reply) noexcept
{
    const std::unique_ptr<users_call> call(static_cast<users_call *>(data));

    if ((reply != nullptr && error_in(reply).empty()) ||
        !call->leader.leading_) {
        return;
    }

    call->leader.with_oom_restart([&] {
        for (std::string &each : call->users) {
            call->leader.changed_users_[call->name].insert(std::move(each));
        }
    });
}

// Users whose change is under way are left to it, so that it is announced.
void redis_leader::register_users(std::string_view name, bool quiet)
{
    if (!users_are_known()) {
        return;
    }

    const std::string scope = user_scope(name);
    const auto page = std::make_unique<member_buffers>();
    const auto changes = [&](const user_sets &in, std::string_view user) {
        const auto found = in.find(name);

        return found != in.end() && found->second.contains(user);
    };
    std::string last;
    broker::listed_members listed{
        .more = worker_bus::broker().count_scope(scope).lingers};

    while (listed.more) {
        listed = worker_bus::broker().list_members(
            scope, last, {page->bytes, page->members});

        std::vector<std::string> users;

        for (const auto &member :
             std::span(page->members).first(listed.count)) {
            if (!changes(changed_users_, member.user) &&
                !changes(checked_users_, member.user)) {
                users.emplace_back(member.user);
            }
        }

        if (listed.count != 0) {
            last = page->members[listed.count - 1].user;
        }

        if (!users.empty()) {
            send_users(name, std::move(users), quiet);
        }
    }

    find_stale_users(name, "0");
}

void redis_leader::find_stale_users(std::string_view name,
                                    std::string_view position)
{
    const std::string key = redis.settings().prefix + redis::users_key(name);
    const std::array<std::string_view, 5> args{"HSCAN", key, position, "COUNT",
                                               registered_at_once};
    auto call =
        std::make_unique<users_call>(users_call{*this, std::string(name), {}});

    if (redis.command(redis::shard_of(name), args, on_registered_reply,
                      call.get())) {
        (void)call.release();
    }
}

void redis_leader::on_registered_reply(void *data,
                                       const redisReply *reply) noexcept
{
    const std::unique_ptr<users_call> call(static_cast<users_call *>(data));

    if (reply != nullptr && call->leader.leading_) {
        call->leader.with_oom_restart(
            [&] { call->leader.check_registered(call->name, *reply); });
    }
}

void redis_leader::check_registered(std::string_view name,
                                    const redisReply &page)
{
    const std::string mine =
        std::string(" ").append(worker_bus::zone().host.uid()).append(" ");
    const auto parts = list_in(&page);

    if (parts.size() != 2) {
        return; // refused
    }

    const auto users = list_in(parts[1]);

    for (std::size_t i = 0; i + 1 < users.size(); i += 2) {
        if (text_in(users[i + 1]).find(mine) != std::string_view::npos &&
            !is_present(name, text_in(users[i]))) {
            changed_users_[std::string(name)].emplace(text_in(users[i]));
        }
    }

    if (const auto next = text_in(parts[0]); next != "0") {
        find_stale_users(name, next);
    }
}

} // namespace websocket::nginx
