// A chat: broadcasts to a room who joins, who leaves and what they write.
#include "websocket.hpp"

struct user : websocket::client {
    std::string name = request().arg("name", request().header("User-Agent"));
};

struct chat_room : websocket::resource<user> {
    void client_connected(user &u) override
    {
        broadcast(u.name + " has joined " + std::string(name()));
    }

    void client_disconnected(user &u, std::uint16_t, std::string_view) override
    {
        broadcast(u.name + " has left");
    }

    void text_message_received(user &u, std::string_view text) override
    {
        broadcast(u.name + " says " + std::string(text));
    }
};

WEBSOCKET_HANDLER("chat", chat_room)
