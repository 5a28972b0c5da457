// Test plug-ins that publish, send and close in one call, from each callback
// that may do so.
#include "websocket.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace {

// Messages that `counted` has sent to clients of this worker.
std::size_t deliveries = 0;

// Executes the commands of a text.
class ordering : public websocket::resource<> {
public:
    void client_connected(websocket::client &who) override
    {
        if (who.request().arg("greet") == "yes") {
            broadcast("published");
            who.send_text_message("welcome");
        }
    }

    void text_message_received(websocket::client &who,
                               std::string_view text) override
    {
        if (text == "send") {
            broadcast("first");
            who.send_text_message("second");
        } else if (text == "frame") {
            broadcast("first");
            who.send(websocket::frame("second"));
        } else if (text == "close") {
            broadcast("first");
            who.close_connection(4000, "second");
        } else if (text == "close at delivery") {
            broadcast("to be closed");
            broadcast("first");
            who.send_text_message("second");
        } else if (text == "alternate") {
            alternate(who);
        } else if (text == "fill") {
            fill(who);
        } else if (text == "taken") {
            who.send_text_message("taken " + std::to_string(taken_));
        } else if (text == "timer") {
            timer_ = after(1, [this] {
                broadcast("first");
                for (websocket::client &each : clients()) {
                    each.send_text_message("second");
                }
            });
        } else {
            broadcast(text);
        }
    }

    void message_published(const websocket::message &message) override
    {
        const std::string text(message.text());

        for (websocket::client &each : clients()) {
            if (text == "nested send") {
                broadcast("first");
                each.send_text_message("second");
            } else if (text == "nested close") {
                broadcast("first");
                each.close_connection(4000, "second");
            } else if (text == "to be closed") {
                each.close_connection(4000, "second");
            } else {
                each.send_text_message(text);
            }
        }
    }

private:
    void alternate(websocket::client &who)
    {
        for (int i = 0; i != 500; i++) {
            broadcast("broadcast " + std::to_string(i));
            who.send_text_message("sent " + std::to_string(i));
        }
    }

    // Sends more than a queue of 64 KiB holds, while its start cannot be sent.
    void fill(websocket::client &who)
    {
        const std::string much(10000, 'x');
        std::size_t taken = 0;

        broadcast("first");

        while (taken != 500) {
            const auto result = who.send_text_message(much);

            if (result != websocket::send_result::queued &&
                result != websocket::send_result::backpressure) {
                break;
            }
            taken++;
        }

        taken_ = taken;
    }

    websocket::timer timer_;
    std::size_t taken_ = 0;
};

WEBSOCKET_HANDLER("ordering", ordering)

// Sends bytes of its own memory, which it replaces at each message that it
// publishes.
class replacing : public websocket::resource<> {
public:
    void text_message_received(websocket::client &who,
                               std::string_view text) override
    {
        broadcast(text);
        who.send_binary_message(std::as_bytes(std::span(state_)));
    }

    void binary_message_received(websocket::client &who,
                                 std::span<const std::byte> data) override
    {
        broadcast_binary(data);

        if (data.empty()) {
            who.close_connection(4000, state_);
        } else {
            who.send(frame_);
        }
    }

    void message_published(const websocket::message &message) override
    {
        state_ = std::string(100, message.data.empty() ? '-' : 'n');
        state_.shrink_to_fit();
        frame_ = websocket::frame(std::string(3000, 'n'));
    }

private:
    std::string state_ = std::string(100, 'o');
    websocket::frame frame_{std::string(3000, 'o')};
};

WEBSOCKET_HANDLER("replacing", replacing)

// Counts the messages that it sends to clients of this worker.
class counted : public websocket::resource<> {
public:
    void text_message_received(websocket::client &,
                               std::string_view text) override
    {
        broadcast(text);
    }

    void message_published(const websocket::message &message) override
    {
        const websocket::frame frame(message.text());

        for (websocket::client &each : clients()) {
            each.send(frame);
            deliveries++;
        }
    }
};

WEBSOCKET_HANDLER("counted", counted)

// Sends the count of `counted` at the time of the call.
class gauge : public websocket::resource<> {
public:
    void text_message_received(websocket::client &who,
                               std::string_view) override
    {
        who.send_text_message(std::to_string(deliveries));
    }
};

WEBSOCKET_HANDLER("gauge", gauge)

} // namespace
