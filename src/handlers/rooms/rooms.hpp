// The handler `rooms`: many rooms over one connection, written with the public
// interface alone. A room is that of the handler `room`.
#pragma once

#include "handlers/room_resource.hpp"
#include "handlers/rooms/rooms_client.hpp"

#include <span>
#include <string>
#include <string_view>

namespace websocket::handlers {

// The resource that clients connect to. It has no messages of its own.
class rooms final : public resource<rooms_client> {
public:
    using subscribed_type = room;
    static constexpr char subscribed_name[] = "room";

    std::string check_parameters() override;
    std::string_view
    select_subprotocol(const request &handshake,
                       std::span<const std::string_view> offered) override;
    unsigned client_connecting(const request &handshake) override;
    void client_connected(rooms_client &client) override;
    void text_message_received(rooms_client &from,
                               std::string_view text) override;
    void subscription_failed(rooms_client &client, std::string_view name,
                             std::string_view reason) override;
    void client_drained(rooms_client &to) override;
    void direct_message_received(rooms_client &to,
                                 const message &received) override;

private:
    static void unsubscribe(rooms_client &from,
                            const rooms_json::request &request);
    void publish(rooms_client &from, const rooms_json::request &request);
    static void send_presence(rooms_client &from,
                              const rooms_json::request &request);
};

} // namespace websocket::handlers
