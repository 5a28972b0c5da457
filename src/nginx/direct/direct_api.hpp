// The functions of the plug-in interface for single clients and users.
#pragma once

#include "sdk/websocket_plugin.h"

#include <cstddef>
#include <cstdint>

namespace websocket::nginx {

std::uint32_t send_direct(websocket_resource_t *handle, int is_user,
                          websocket_text_t target, int kind, const void *data,
                          std::size_t size) noexcept;
std::uint32_t close_direct(websocket_resource_t *handle, int is_user,
                           websocket_text_t target, std::uint16_t code,
                           websocket_text_t reason) noexcept;
std::uint64_t count_present(const websocket_resource_t *handle) noexcept;
void list_users(const websocket_resource_t *handle, websocket_text_t after,
                int (*each)(void *data, websocket_text_t user,
                            std::uint32_t clients),
                void *data) noexcept;
void find_users(websocket_resource_t *handle, websocket_text_t after,
                std::size_t limit,
                void (*done)(void *data, int complete,
                             const websocket_user_t *users, std::size_t count,
                             int more),
                void *data) noexcept;

} // namespace websocket::nginx
