// Test plug-ins that close clients before client_connected().
#include "websocket.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct waiting_client;

// All clients of this worker, connected or not.
std::vector<waiting_client *> existing;

struct waiting_client : websocket::client {
    waiting_client() { existing.push_back(this); }
    ~waiting_client() { std::erase(existing, this); }
    waiting_client(const waiting_client &) = delete;
    waiting_client &operator=(const waiting_client &) = delete;

    bool connected = false;
};

// When "expel" is delivered, closes the clients that are not connected yet.
// Then reports to all others whether the closed objects still exist after that
// call.
class expelling : public websocket::resource<waiting_client> {
public:
    void client_connected(waiting_client &who) override
    {
        who.connected = true;
    }

    void text_message_received(waiting_client &, std::string_view text) override
    {
        broadcast(text);
    }

    void message_published(const websocket::message &message) override
    {
        for (waiting_client &each : clients()) {
            each.send_text_message(message.text());
        }

        if (message.text() == "expel") {
            expel();
        }
    }

private:
    void expel()
    {
        std::vector<waiting_client *> closed;

        for (waiting_client *each : existing) {
            if (!each->connected) {
                closed.push_back(each);
            }
        }

        for (waiting_client *each : closed) {
            each->close_connection(4000, "expelled");
        }

        bool alive = !closed.empty();

        for (const waiting_client *each : closed) {
            alive =
                alive && std::ranges::find(existing, each) != existing.end();
        }

        for (waiting_client &each : clients()) {
            each.send_text_message(alive ? "alive" : "destroyed");
        }
    }
};

WEBSOCKET_HANDLER("expelling", expelling)

// Each new client closes the one before it, even if it is not connected yet.
struct only_client : websocket::client {
    only_client();
};

websocket::client_ref<only_client> current;

only_client::only_client()
{
    if (only_client *before = current.get()) {
        before->close_connection(4001, "replaced");
    }
    current = *this;
}

class only_one : public websocket::resource<only_client> {
public:
    void client_connected(only_client &) override { connected_++; }

    void client_disconnected(only_client &, std::uint16_t,
                             std::string_view) override
    {
        connected_--;
    }

    void text_message_received(only_client &from, std::string_view) override
    {
        from.send_text_message(std::to_string(connected_));
    }

private:
    int connected_ = 0;
};

WEBSOCKET_HANDLER("only_one", only_one)

// Closes itself in its constructor.
struct refused_client : websocket::client {
    refused_client() { close_connection(4002, "refused"); }
};

class refusing : public websocket::resource<refused_client> {
public:
    void client_connected(refused_client &who) override
    {
        who.send_text_message("connected");
    }
};

WEBSOCKET_HANDLER("refusing", refusing)

} // namespace
