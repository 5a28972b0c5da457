// The functions of the server that handlers call.
#include "nginx/plugin/server_api.hpp"

#include "nginx/core/log_line.hpp"
#include "nginx/direct/direct_api.hpp"
#include "nginx/output/shared_frame.hpp"
#include "nginx/plugin/request_api.hpp"
#include "nginx/plugin/subscription_api.hpp"
#include "nginx/plugin/token_api.hpp"
#include "nginx/resource/resource.hpp"
#include "nginx/session/session.hpp"
#include "nginx/subscriptions/subscribing.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "protocol/frames/close_code.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <utility>

namespace websocket::nginx {

namespace {

session &session_of(websocket_client_t *client) noexcept
{
    return *reinterpret_cast<session *>(client);
}

const session &session_of(const websocket_client_t *client) noexcept
{
    return *reinterpret_cast<const session *>(client);
}

resource &resource_of(websocket_resource_t *handle) noexcept
{
    return *reinterpret_cast<resource *>(handle);
}

const resource &resource_of(const websocket_resource_t *handle) noexcept
{
    return *reinterpret_cast<const resource *>(handle);
}

protocol::opcode opcode_of(int kind) noexcept
{
    return kind == WEBSOCKET_TEXT ? protocol::opcode::text
                                  : protocol::opcode::binary;
}

std::span<const std::byte> bytes_of(const void *data, std::size_t size) noexcept
{
    return {static_cast<const std::byte *>(data), size};
}

// The object behind a websocket_frame_t.
using frame_handle = std::shared_ptr<const shared_frame>;

int send(websocket_client_t *client, int kind, const void *data,
         std::size_t size) noexcept
{
    return session_of(client).send(opcode_of(kind), bytes_of(data, size));
}

int send_ping(websocket_client_t *client, const void *data,
              std::size_t size) noexcept
{
    return session_of(client).send_ping(bytes_of(data, size));
}

void close(websocket_client_t *client, std::uint16_t code,
           websocket_text_t reason) noexcept
{
    session_of(client).close(protocol::close_code::is_valid_on_wire(code)
                                 ? code
                                 : protocol::close_code::internal_error,
                             text_of(reason), close_initiator::server);
}

std::size_t buffered_amount(const websocket_client_t *client) noexcept
{
    return session_of(client).queue_cost();
}

std::uint64_t client_id(const websocket_client_t *client) noexcept
{
    return session_of(client).id();
}

const websocket_request_t *
client_request(const websocket_client_t *client) noexcept
{
    return request_handle(session_of(client));
}

websocket_text_t resource_name(const websocket_resource_t *handle) noexcept
{
    return as_c(resource_of(handle).name());
}

websocket_text_t parameter(const websocket_resource_t *handle,
                           websocket_text_t name) noexcept
{
    return resource_of(handle).parameter(text_of(name));
}

websocket_text_t parameter_name(const websocket_resource_t *handle,
                                std::size_t index) noexcept
{
    return resource_of(handle).parameter_name(index);
}

std::uint64_t client_count(const websocket_resource_t *handle) noexcept
{
    return resource_of(handle).client_count();
}

int broadcast(websocket_resource_t *handle, int kind, const void *data,
              std::size_t size) noexcept
{
    broker::message_id id;

    return resource_of(handle).publish(
        {.payload = bytes_of(data, size),
         .time = worker_bus::now(),
         .kind = static_cast<std::uint8_t>(opcode_of(kind))},
        {}, id);
}

// Copies the known fields; fields unknown to an older header are 0. Returns
// nothing if a field of a newer header is not 0, since it cannot be honoured.
std::optional<websocket_message_t>
known_fields(const websocket_message_t &given) noexcept
{
    constexpr std::size_t required = offsetof(websocket_message_t, transient);
    websocket_message_t known{};

    if (given.size < required || given.version != WEBSOCKET_PLUGIN_VERSION) {
        return {};
    }

    const std::span all(reinterpret_cast<const std::byte *>(&given),
                        given.size);
    const std::span unknown =
        all.subspan(std::min(given.size, sizeof(websocket_message_t)));

    if (std::any_of(unknown.begin(), unknown.end(),
                    [](std::byte each) { return each != std::byte{}; })) {
        return {};
    }

    std::memcpy(&known, &given, std::min(given.size, sizeof known));
    return known;
}

broker::publication publication_of(const websocket_message_t &message) noexcept
{
    return {.payload = bytes_of(message.data, message.length),
            .from = message.from,
            .time = worker_bus::now(),
            .kind = static_cast<std::uint8_t>(opcode_of(message.kind)),
            .transient = message.transient != 0};
}

int publish(websocket_resource_t *handle, const websocket_message_t *message,
            websocket_message_id_t *id) noexcept
{
    const std::optional<websocket_message_t> known = known_fields(*message);

    if (!known) {
        return WEBSOCKET_INVALID;
    }

    broker::message_id assigned;
    const int result = resource_of(handle).publish(
        publication_of(*known), text_of(known->user), assigned);

    if (id != nullptr) {
        *id = {assigned.epoch, assigned.sequence};
    }

    return result;
}

void publish_then(websocket_resource_t *handle,
                  const websocket_message_t *message,
                  resource::publish_callback done, void *data) noexcept
{
    const std::optional<websocket_message_t> known = known_fields(*message);

    if (!known) {
        done(data, WEBSOCKET_INVALID, {});
        return;
    }

    resource_of(handle).publish(publication_of(*known), text_of(known->user),
                                done, data, known->callback_bytes);
}

void publish_to(websocket_client_t *client, websocket_text_t key,
                const websocket_message_t *message,
                resource::publish_callback done, void *data) noexcept
{
    const std::optional<websocket_message_t> known = known_fields(*message);

    if (!known) {
        done(data, WEBSOCKET_INVALID, {});
        return;
    }

    nginx::publish_to(session_of(client), text_of(key), publication_of(*known),
                      text_of(known->user), done, data, known->callback_bytes);
}

void keep_history(websocket_resource_t *handle, std::uint64_t messages,
                  std::uint64_t milliseconds) noexcept
{
    resource_of(handle).keep_history({messages, milliseconds});
}

int read_history(websocket_resource_t *handle, websocket_message_id_t after,
                 int (*each)(void *, const websocket_message_t *),
                 void *data) noexcept
{
    return resource_of(handle).read_history({after.epoch, after.sequence}, each,
                                            data)
               ? 1
               : 0;
}

websocket_message_id_t last_message(const websocket_resource_t *handle) noexcept
{
    const broker::message_id last = resource_of(handle).last_message();

    return {last.epoch, last.sequence};
}

websocket_frame_t *make_frame(int kind, const void *data,
                              std::size_t size) noexcept
try {
    frame_handle frame(
        shared_frame::create_validated(opcode_of(kind), bytes_of(data, size)));

    return frame ? reinterpret_cast<websocket_frame_t *>(
                       new frame_handle(std::move(frame)))
                 : nullptr;

} catch (const std::bad_alloc &) {
    return nullptr;
}

void drop_frame(websocket_frame_t *frame) noexcept
{
    delete reinterpret_cast<frame_handle *>(frame);
}

int send_frame(websocket_client_t *client,
               const websocket_frame_t *frame) noexcept
{
    session &receiver = session_of(client);
    const auto &kept = *reinterpret_cast<const frame_handle *>(frame);

    return receiver.must_postpone() ? receiver.postpone_frame(kept)
                                    : receiver.send_shared(*kept);
}

websocket_timer_t *start_timer(websocket_resource_t *handle,
                               std::uint64_t milliseconds, int repeats,
                               void (*callback)(void *), void *data) noexcept
{
    return resource_of(handle).start_timer(milliseconds, repeats != 0, callback,
                                           data);
}

void stop_timer(websocket_timer_t *timer) noexcept
{
    resource::stop_timer(timer);
}

int run_in_background(websocket_resource_t *handle, void (*work)(void *),
                      void (*done)(void *), void *data) noexcept
{
    return resource_of(handle).run_in_background(work, done, data) ? 1 : 0;
}

void log(const websocket_resource_t *handle, int level,
         websocket_text_t text) noexcept
{
    write_log(static_cast<ngx_uint_t>(
                  std::clamp<int>(level, NGX_LOG_ERR, NGX_LOG_DEBUG)),
              ngx_cycle->log, "websocket: %V \"%V\": %V",
              resource_of(handle).handler().name, resource_of(handle).name(),
              unquoted{text_of(text)});
}

} // namespace

const websocket_server_t server_api = {
    .size = sizeof(websocket_server_t),
    .version = WEBSOCKET_PLUGIN_VERSION,
    .send = send,
    .send_ping = send_ping,
    .close = close,
    .buffered_amount = buffered_amount,
    .client_id = client_id,
    .client_request = client_request,
    .request_uri = request_uri,
    .request_args = request_args,
    .request_header = request_header,
    .request_remote_address = request_remote_address,
    .request_subprotocol = request_subprotocol,
    .request_variable = request_variable,
    .resource_name = resource_name,
    .parameter = parameter,
    .client_count = client_count,
    .broadcast = broadcast,
    .start_timer = start_timer,
    .stop_timer = stop_timer,
    .run_in_background = run_in_background,
    .log = log,
    .publish = publish,
    .keep_history = keep_history,
    .read_history = read_history,
    .last_message = last_message,
    .make_frame = make_frame,
    .drop_frame = drop_frame,
    .send_frame = send_frame,
    .parameter_name = parameter_name,
    .publish_then = publish_then,
    .request_preferred_subprotocol = request_preferred_subprotocol,
    .request_parameter = request_parameter,
    .request_user = request_user,
    .client_token = client_token,
    .read_token = read_token,
    .drop_token = drop_token,
    .use_token = use_token,
    .token_expires = token_expires,
    .token_covers = token_covers,
    .subscribe = subscribe_client,
    .unsubscribe = unsubscribe_client,
    .find_subscription = find_subscription,
    .each_subscriber = each_subscriber,
    .each_subscription = each_subscription,
    .subscription_parameter = subscription_parameter,
    .publish_to = publish_to,
    .send_direct = send_direct,
    .close_direct = close_direct,
    .list_users = list_users,
    .count_present = count_present,
    .find_users = find_users,
};

} // namespace websocket::nginx
