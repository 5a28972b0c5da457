// Maps the functions of the interface to the directory of clients.
#include "nginx/direct/direct_api.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/direct/client_directory.hpp"
#include "nginx/direct/direct_reach.hpp"
#include "nginx/direct/host_asks.hpp"
#include "nginx/direct/host_requests.hpp"
#include "nginx/direct/user_presence.hpp"
#include "nginx/resource/resource.hpp"
#include "nginx/session/worker.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "protocol/frames/close_code.hpp"
#include "protocol/text/utf8.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

namespace {

const resource &owner_of(const websocket_resource_t *handle) noexcept
{
    return *reinterpret_cast<const resource *>(handle);
}

std::string_view view_of(websocket_text_t text) noexcept
{
    return {text.data, text.size};
}

direct_target target_in(const websocket_resource_t *handle, int is_user,
                        websocket_text_t target) noexcept
{
    return {owner_of(handle).handler().name, {}, is_user != 0, view_of(target)};
}

// Returns the clients on this host. Throws std::bad_alloc.
std::uint32_t send_to_hosts(const direct_target &target,
                            const client_directory::direct_message &message)
{
    const direct_reach reach = reach_of(target);
    const std::uint32_t clients =
        client_directory::send(target, message).clients;

    if (reach.other_hosts) {
        (void)host_asks::send(
            write_host_request({host_request::type::message, message.kind,
                                target, message.payload}),
            reach.host);
    }

    return clients;
}

// A listed user costs the turn 0.3 us and more, beside the bytes of the name.
void spend_listing(std::string_view user) noexcept
{
    constexpr std::size_t listing_cost = 128;

    this_worker().current_turn.spend(listing_cost + user.size());
}

using found_callback = void (*)(void *, int, const websocket_user_t *,
                                std::size_t, int);

// A search for users, of all hosts.
struct users_search {
    resource *retained; // null: under construction
    users_page page;
    found_callback done;
    void *data;

    ~users_search()
    {
        if (retained != nullptr) {
            retained->release();
        }
    }

    void finish(bool complete) noexcept
    try {
        std::vector<websocket_user_t> users;

        for (const auto &[user, clients] : page.users()) {
            spend_listing(user);
            users.push_back({{user.data(), user.size()}, clients});
        }

        if (!complete) {
            users.clear();
        }

        done(data, complete ? 1 : 0, users.data(), users.size(),
             complete && page.more() ? 1 : 0);
    } catch (const std::bad_alloc &) {
        done(data, 0, nullptr, 0, 0);
    }
};

void on_pages(void *data, const host_asks::outcome &outcome) noexcept
{
    const std::unique_ptr<users_search> search(
        static_cast<users_search *>(data));
    bool complete = outcome.what == host_asks::result::complete;

    try {
        for (const std::string &each : outcome.answers) {
            complete = complete && search->page.read(each);
        }
    } catch (const std::bad_alloc &) {
        complete = false;
    }

    search->finish(complete);
}

// RFC 6455 5.5: 125 bytes less those of the code
constexpr std::size_t longest_reason = 123;

// Users of one page.
constexpr std::size_t page_users = 64;

struct list_buffers {
    std::array<char, page_users * broker::max_user_size> bytes;
    std::array<broker::listed_member, page_users> members;
};

} // namespace

std::uint32_t send_direct(websocket_resource_t *handle, int is_user,
                          websocket_text_t target, int kind, const void *data,
                          std::size_t size) noexcept
try {
    const std::span bytes{static_cast<const std::byte *>(data), size};
    const bool text = kind == WEBSOCKET_TEXT;

    if (!worker_bus::running() || (text && !protocol::is_valid_utf8(bytes))) {
        return 0;
    }

    return send_to_hosts(
        target_in(handle, is_user, target),
        {text ? std::uint8_t{WEBSOCKET_TEXT} : std::uint8_t{WEBSOCKET_BINARY},
         bytes});

} catch (const std::bad_alloc &) {
    return 0;
}

std::uint32_t close_direct(websocket_resource_t *handle, int is_user,
                           websocket_text_t target, std::uint16_t code,
                           websocket_text_t reason) noexcept
try {
    if (!worker_bus::running()) {
        return 0;
    }

    const std::uint16_t sent = protocol::close_code::is_valid_on_wire(code)
                                   ? code
                                   : protocol::close_code::internal_error;
    std::string payload{static_cast<char>(sent >> 8),
                        static_cast<char>(sent & 0xFF)};

    payload.append(view_of(reason).substr(0, longest_reason));
    return send_to_hosts(target_in(handle, is_user, target),
                         {kind_close_all, std::as_bytes(std::span(payload))});

} catch (const std::bad_alloc &) {
    return 0;
}

std::uint64_t count_present(const websocket_resource_t *handle) noexcept
try {
    return user_presence::count(owner_of(handle));

} catch (const std::bad_alloc &) {
    return owner_of(handle).client_count();
}

void list_users(const websocket_resource_t *handle, websocket_text_t after,
                int (*each)(void *, websocket_text_t, std::uint32_t),
                void *data) noexcept
try {
    const resource &target = owner_of(handle);
    const std::string scope = users_of(target.handler().name, target.name());
    const auto page = std::make_unique<list_buffers>();
    std::string last(view_of(after));
    broker::listed_members listed{.more = worker_bus::running()};

    while (listed.more) {
        listed = worker_bus::broker().list_members(
            scope, last, {page->bytes, page->members});

        for (const auto &member :
             std::span(page->members).first(listed.count)) {
            spend_listing(member.user);

            if (each(data, {member.user.data(), member.user.size()},
                     member.clients) != 0) {
                return;
            }
        }

        if (listed.count == 0) {
            return;
        }

        last = page->members[listed.count - 1].user;
    }
} catch (const std::bad_alloc &) {}

void find_users(websocket_resource_t *handle, websocket_text_t after,
                std::size_t limit, found_callback done, void *data) noexcept
{
    constexpr std::size_t most = 1000;
    auto &target = *reinterpret_cast<resource *>(handle);
    const std::size_t wanted = std::min(limit, most);
    bool asked = false;
    std::unique_ptr<users_search> search;

    if (!worker_bus::running()) {
        done(data, 0, nullptr, 0, 0);
        return;
    }

    try {
        search = std::make_unique<users_search>(
            users_search{nullptr, users_page(wanted), done, data});

        const std::string text = std::to_string(wanted);
        const direct_target from =
            users_after(target.handler().name, target.name(), view_of(after));

        if (backplane::enabled() && target.constructed()) {
            asked = host_asks::ask(
                write_host_request({.what = host_request::type::users,
                                    .target = from,
                                    .payload = std::as_bytes(std::span(text))}),
                {}, on_pages, search.get());
        } else {
            host_requests::add_users(search->page, from, wanted);
        }
    } catch (const std::bad_alloc &) {
        done(data, 0, nullptr, 0, 0);
        return;
    }

    if (asked) {
        target.retain();
        search.release()->retained = &target;
    } else {
        search->finish(!backplane::enabled());
    }
}

} // namespace websocket::nginx
