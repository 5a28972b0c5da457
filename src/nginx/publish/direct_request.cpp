// Sends to one client or user, and lists users.
#include "nginx/publish/direct_request.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/backplane/backplane.hpp"
#include "nginx/direct/client_directory.hpp"
#include "nginx/direct/direct_reach.hpp"
#include "nginx/direct/host_asks.hpp"
#include "nginx/direct/host_requests.hpp"
#include "nginx/publish/response.hpp"
#include "nginx/publish/waiting_request.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "sdk/websocket_text.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

namespace {

constexpr std::size_t max_listed = 1000;
constexpr std::size_t default_listed = 100;

// Nothing: there is no parameter, or no memory, or the value is empty.
std::string_view evaluate(ngx_http_request_t *r,
                          ngx_http_complex_value_t *value) noexcept
{
    ngx_str_t text;

    return value != nullptr && ngx_http_complex_value(r, value, &text) == NGX_OK
               ? view(text)
               : std::string_view{};
}

ngx_int_t reject_absent(ngx_http_request_t *r, bool is_user) noexcept
{
    return reject_publish(r, NGX_HTTP_NOT_FOUND,
                          is_user ? "there is no client of this user"
                                  : "there is no such client");
}

ngx_int_t reject_incomplete(ngx_http_request_t *r,
                            host_asks::result why) noexcept
{
    switch (why) {
    case host_asks::result::full:
        return reject_publish(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "the inbox of another host is full");
    case host_asks::result::unanswered:
        return reject_publish(r, NGX_HTTP_GATEWAY_TIME_OUT,
                              "another host has not answered in time: it may "
                              "handle the request later");
    default:
        return reject_unreachable(r);
    }
}

// `limit` of the request. Nothing: it is no number from 1 to max_listed.
std::optional<std::size_t> limit_of(ngx_http_request_t *r) noexcept
{
    const std::string_view text = argument(r, "limit", "");

    if (text.empty()) {
        return default_listed;
    }

    const auto limit = detail::decimal(text);

    return limit && *limit >= 1 && *limit <= max_listed
               ? std::optional<std::size_t>(*limit)
               : std::nullopt;
}

std::string as_json(std::string_view text)
{
    return nlohmann::json(text).dump(-1, ' ', false,
                                     nlohmann::json::error_handler_t::replace);
}

ngx_int_t send_page(ngx_http_request_t *r, const users_page &page)
{
    std::string json =
        "{\"clients\":" + std::to_string(page.clients()) + ",\"users\":[";
    const char *separator = "";

    for (const auto &[user, clients] : page.users()) {
        json.append(separator).append("{\"user\":").append(as_json(user));
        json.append(",\"clients\":").append(std::to_string(clients)) += '}';
        separator = ",";
    }

    json.append("],\"more\":").append(page.more() ? "true}" : "false}");
    return send_json(r, json);
}

ngx_int_t send_count(const waiting_request &waiting,
                     std::span<const std::string> answers)
{
    reached_clients all;

    for (const std::string &each : answers) {
        const reached_clients count = read_reached_clients(each);

        all.clients += count.clients;
        all.no_memory = all.no_memory || count.no_memory;
    }

    return all.clients == 0 ? reject_absent(waiting.r, waiting.for_user)
           : all.no_memory
               ? reject_append(waiting.r, broker::outcome::no_memory)
               : send_client_count(waiting.r, all.clients);
}

ngx_int_t send_pages(const waiting_request &waiting,
                     std::span<const std::string> answers)
{
    users_page page(waiting.limit);

    for (const std::string &each : answers) {
        if (!page.read(each)) {
            return reject_unreachable(waiting.r);
        }
    }

    return send_page(waiting.r, page);
}

void on_answers(void *data, const host_asks::outcome &outcome) noexcept
{
    const auto &waiting = *static_cast<waiting_request *>(data);

    finish(data, [&](ngx_http_request_t *r) -> ngx_int_t {
        try {
            return outcome.what != host_asks::result::complete
                       ? reject_incomplete(r, outcome.what)
                   : waiting.limit != 0 ? send_pages(waiting, outcome.answers)
                                        : send_count(waiting, outcome.answers);
        } catch (const std::bad_alloc &) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    });
}

// `limit`: of a page of users, else 0.
ngx_int_t ask_hosts(ngx_http_request_t *r, const host_request &request,
                    std::optional<std::uint64_t> host, std::size_t limit = 0)
{
    auto waiting = create_waiting(r);

    if (!waiting) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    waiting->for_user = request.target.is_user;
    waiting->limit = limit;
    return host_asks::ask(write_host_request(request), host, on_answers,
                          waiting.get())
               ? wait(std::move(waiting))
               : reject_unqueued(std::move(waiting));
}

} // namespace

std::string_view argument(ngx_http_request_t *r, std::string_view name,
                          std::string_view fallback) noexcept
{
    ngx_str_t value;

    return ngx_http_arg(r, borrowed(name).data, name.size(), &value) == NGX_OK
               ? view(value)
               : fallback;
}

std::optional<direct_target> find_target(ngx_http_request_t *r,
                                         const resource_id &id,
                                         std::string_view &error) noexcept
{
    const auto &conf = *location_conf<location_configuration>(r);
    const std::string_view client = evaluate(r, conf.to_client);
    const std::string_view user = evaluate(r, conf.to_user);

    if (!client.empty() && !user.empty()) {
        error = "both a client and a user are given";
    } else if (!client.empty() && !detail::decimal(client)) {
        error = "the client is not a number";
    }

    return client.empty() && user.empty()
               ? std::nullopt
               : std::optional(direct_target{id.handler->name, id.key,
                                             client.empty(),
                                             client.empty() ? user : client});
}

ngx_int_t send_to_target(ngx_http_request_t *r, const direct_target &target,
                         std::uint8_t kind, std::span<const std::byte> payload)
{
    if (const direct_reach reach = reach_of(target); reach.other_hosts) {
        return ask_hosts(r,
                         {host_request::type::message, kind, target, payload},
                         reach.host);
    }

    const auto done = client_directory::send(target, {kind, payload});

    if (done.clients == 0) {
        return reject_absent(r, target.is_user);
    }

    return done.result == broker::outcome::done
               ? send_client_count(r, done.clients)
               : reject_append(r, done.result);
}

ngx_int_t describe_target(ngx_http_request_t *r, const direct_target &target)
{
    if (const direct_reach reach = reach_of(target); reach.other_hosts) {
        return ask_hosts(r,
                         {.what = host_request::type::count, .target = target},
                         reach.host);
    }

    const std::uint32_t clients = client_directory::count(target);

    return clients == 0 ? reject_absent(r, target.is_user)
                        : send_client_count(r, clients);
}

bool wants_presence(ngx_http_request_t *r) noexcept
{
    return argument(r, "presence", "") == "1";
}

ngx_int_t describe_users(ngx_http_request_t *r, const resource_id &id)
{
    const auto limit = limit_of(r);

    if (!limit) {
        return reject_publish(r, NGX_HTTP_BAD_REQUEST,
                              "limit is not a number from 1 to 1000");
    }

    const std::string after = detail::form_decoded(argument(r, "after", ""));
    const direct_target target = users_after(id.handler->name, id.key, after);

    if (backplane::enabled()) {
        const std::string most = std::to_string(*limit);

        return ask_hosts(r,
                         {.what = host_request::type::users,
                          .target = target,
                          .payload = std::as_bytes(std::span(most))},
                         {}, *limit);
    }

    users_page page(*limit);

    host_requests::add_users(page, target, *limit);
    return send_page(r, page);
}

} // namespace websocket::nginx
