// Handles requests by the members of the broker.
#include "nginx/direct/host_requests.hpp"

#include "nginx/direct/client_directory.hpp"
#include "nginx/host_inbox/inbox_reader.hpp"
#include "nginx/resource/resource.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <algorithm>
#include <array>
#include <memory>

namespace websocket::nginx::host_requests {

namespace {

// Of one call of the broker, which lists so many in one hold of its lock.
constexpr std::size_t step_users = 64;

struct users_step {
    std::array<char, step_users * broker::max_user_size> bytes;
    std::array<broker::listed_member, step_users> members;
};

// As resource::log_name.
std::uint64_t count_clients(const direct_target &target)
{
    if (target.key.empty()) {
        return worker_bus::broker().count_users(clients_of(target.handler));
    }

    return worker_bus::broker()
        .describe(std::string(target.handler).append(":").append(target.key),
                  worker_bus::now())
        .local_clients;
}

std::optional<std::string> send(const host_request &request,
                                std::uint64_t inbox_entry)
{
    // A code and a reason
    if (request.message_kind == kind_close_all && request.payload.size() < 2) {
        return write_reached_clients({});
    }

    const auto done = client_directory::send(
        request.target, {request.message_kind, request.payload, inbox_entry});

    return done.result == broker::outcome::not_leading
               ? std::nullopt
               : std::optional(write_reached_clients(
                     {done.clients, done.result != broker::outcome::done}));
}

std::string list(const host_request &request)
{
    const std::string_view text{
        reinterpret_cast<const char *>(request.payload.data()),
        request.payload.size()};
    const auto limit =
        static_cast<std::size_t>(detail::decimal(text).value_or(0));
    users_page page(limit);

    add_users(page, request.target, limit);
    return page.write();
}

bool pass_answer(const redis::inbox_entry &entry, std::string_view text)
{
    const broker::append_result done = worker_bus::broker().append_external(
        answers_log(entry.worker),
        {.payload = std::as_bytes(std::span(text)),
         .time = worker_bus::now(),
         .transient = true},
        {}, worker_bus::now());

    worker_bus::wake(done.wake);
    return done.result != broker::outcome::not_leading;
}

constexpr inbox_handlers handlers{handle, pass_answer};

} // namespace

void enable() noexcept
{
    handlers_of_inbox = &handlers;
}

std::string answers_log(unsigned slot)
{
    return ":answers:" + std::to_string(slot);
}

std::optional<std::string> handle(std::string_view text,
                                  std::uint64_t inbox_entry)
{
    const auto request = read_host_request(text);

    if (!request || !worker_bus::running()) {
        return write_reached_clients({});
    }

    switch (request->what) {
    case host_request::type::message:
        return send(*request, inbox_entry);
    case host_request::type::users:
        return list(*request);
    default:
        return write_reached_clients(
            {client_directory::count(request->target)});
    }
}

void add_users(users_page &page, const direct_target &target, std::size_t limit)
{
    const std::string scope = users_of(target.handler, target.key);
    const auto step = std::make_unique<users_step>();
    std::string last(target.name);
    broker::listed_members listed{.more = limit != 0};

    while (listed.more && limit != 0) {
        listed = worker_bus::broker().list_members(
            scope, last,
            {step->bytes,
             std::span(step->members).first(std::min(limit, step_users))});

        for (const auto &member :
             std::span(step->members).first(listed.count)) {
            page.add(member.user, member.clients);
        }

        if (listed.count == 0) {
            break;
        }

        limit -= listed.count;
        last = step->members[listed.count - 1].user;
    }

    if (listed.more) {
        page.set_more();
    }

    page.add_clients(count_clients(target));
}

} // namespace websocket::nginx::host_requests
