// The functions of the plug-in interface for subscriptions.
#pragma once

#include "sdk/websocket_plugin.h"

#include <cstdint>

namespace websocket::nginx {

websocket_text_t subscribe_client(websocket_client_t *client,
                                  websocket_text_t key,
                                  const websocket_message_id_t *since) noexcept;
int unsubscribe_client(websocket_client_t *client,
                       websocket_text_t key) noexcept;
int find_subscription(const websocket_client_t *client, websocket_text_t key,
                      void **resource, void **subscription) noexcept;
void each_subscriber(websocket_resource_t *handle,
                     void (*each)(void *data, void *client, void *subscription),
                     void *data) noexcept;
void each_subscription(const websocket_client_t *client,
                       int (*each)(void *data, void *resource,
                                   void *subscription),
                       void *data) noexcept;
websocket_text_t subscription_parameter(const websocket_client_t *client,
                                        websocket_text_t key,
                                        websocket_text_t name) noexcept;

} // namespace websocket::nginx
