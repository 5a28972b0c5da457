// Subscribes the clients of a handler to further resources.
#pragma once

#include "nginx/session/session.hpp"
#include "sdk/websocket_plugin.h"

#include <string_view>

namespace websocket::nginx {

class client_subscription;

// The client joins the resource after the current event. None of its messages
// is received before. Returns "" or why the client is not subscribed.
std::string_view subscribe(session &client, std::string_view name,
                           const websocket_message_id_t *since) noexcept;

// The settings of a further resource for the client; null: it may not be
// subscribed to it.
const resource_settings *settings_for(const session &client,
                                      std::string_view name) noexcept;

// Publishes a message to a further resource, whether the client is subscribed
// to it or not. Calls `on_result` as resource::publish() does.
void publish_to(const session &client, std::string_view name,
                const broker::publication &message, std::string_view user,
                resource::publish_callback on_result, void *data,
                std::size_t callback_bytes) noexcept;

// Returns false if the client was not subscribed. It gets nothing more of the
// resource.
bool unsubscribe(session &client, std::string_view name) noexcept;

// The client's place in a further resource. Null: none, or it has not joined.
client_subscription *subscription_of(const session &client,
                                     std::string_view name) noexcept;

} // namespace websocket::nginx
