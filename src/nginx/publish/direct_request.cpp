// Sends to one client or user, and lists users.
#include "nginx/publish/direct_request.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/direct/client_directory.hpp"
#include "nginx/publish/response.hpp"
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

ngx_int_t reject_absent(ngx_http_request_t *r,
                        const direct_target &target) noexcept
{
    return reject_publish(r, NGX_HTTP_NOT_FOUND,
                          target.is_user ? "there is no client of this user"
                                         : "there is no such client");
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

// The number of clients in the scope that "#" and the key name.
std::uint64_t client_count(const resource_id &id)
{
    return id.key.empty()
               ? worker_bus::broker().count_users(clients_of(id.handler->name))
               : worker_bus::broker()
                     .describe(resource::log_name(id), worker_bus::now())
                     .clients;
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
    const auto done = client_directory::send(target, {kind, payload});

    if (done.clients == 0) {
        return reject_absent(r, target);
    }

    return done.result == broker::outcome::done
               ? send_client_count(r, done.clients)
               : reject_append(r, done.result);
}

ngx_int_t describe_target(ngx_http_request_t *r, const direct_target &target)
{
    const auto found =
        worker_bus::broker().count_member(scope_of(target), target.name);

    return found.clients == 0 ? reject_absent(r, target)
                              : send_client_count(r, found.clients);
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

    std::vector<char> bytes(*limit * broker::max_user_size);
    std::vector<broker::listed_member> members(*limit);
    const std::string after = detail::form_decoded(argument(r, "after", ""));
    const broker::listed_members listed = worker_bus::broker().list_members(
        users_of(id.handler->name, id.key), after, {bytes, members});
    std::string json =
        "{\"clients\":" + std::to_string(client_count(id)) + ",\"users\":[";

    for (std::size_t i = 0; i != listed.count; i++) {
        json.append(i == 0 ? "" : ",").append("{\"user\":");
        json.append(as_json(members[i].user)).append(",\"clients\":");
        json.append(std::to_string(members[i].clients)).append("}");
    }

    json.append("],\"more\":").append(listed.more ? "true}" : "false}");
    return send_json(r, json);
}

} // namespace websocket::nginx
