// A test plug-in in C++ that throws on request, and keeps handles of clients
// after their disconnection.
#include "websocket.hpp"

#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct throwing_client : websocket::client {
    throwing_client()
    {
        if (request().arg("throw") == "client") {
            throw std::runtime_error("thrown in client");
        }
    }
};

class throwing : public websocket::resource<throwing_client> {
public:
    throwing() { throw_if("resource", !name().empty()); }

    std::string check_parameters() override
    {
        throw_if("check_parameters");
        return std::string(parameter("wrong"));
    }

    unsigned client_connecting(const websocket::request &) override
    {
        throw_if("connecting");
        return 101;
    }

    void client_connected(throwing_client &who) override
    {
        throw_if("connected");
        known_.push_back(who);
    }

    void client_disconnected(throwing_client &, std::uint16_t code,
                             std::string_view) override
    {
        log(websocket::log_level::notice,
            "disconnected " + std::to_string(code));
        throw_if("disconnected");
    }

    void text_message_received(throwing_client &from,
                               std::string_view text) override
    {
        const std::string command(text);

        if (command == "throw") {
            throw std::runtime_error("thrown in text_message_received");
        } else if (command == "throw 7") {
            throw 7;
        } else if (command.starts_with("throw ")) {
            throw std::runtime_error(command);
        } else if (command == "timer") {
            after(1, [] { throw std::runtime_error("thrown in after"); });
        } else if (command == "timers") {
            every(1, [] { throw std::runtime_error("thrown in every"); });
        } else if (command == "count") {
            every(5, [this, number = 0]() mutable {
                broadcast(std::to_string(number++));
            });
        } else if (command == "never") {
            const auto never = static_cast<std::uint64_t>(-1);
            after(never, [this] { broadcast("too early"); });
            every(never, [this] { broadcast("too early"); });
            from.send_text_message("set");
        } else if (command == "close all") {
            for (throwing_client &each : clients()) {
                each.close_connection(4000, "all");
                each.close_connection(4001);
                each.send_text_message("never");
                from.send_text_message(".");
            }
        } else if (command == "later") {
            after(50, [this, to = websocket::client_ref(from)] {
                broadcast(to.get() == nullptr ? "gone" : "there");
            });
        } else if (command == "handles") {
            from.send_text_message(handles());
        } else if (text.starts_with("first")) {
            from.send_text_message(
                name_of(from.send_text_message(text.substr(0, 7))));
        } else if (text.starts_with("last")) {
            from.send_text_message(
                name_of(from.send_text_message(text.substr(6))));
        } else {
            from.send_text_message(command);
        }
    }

    void pong_received(throwing_client &, std::string_view) override
    {
        throw_if("pong");
    }

    std::uint16_t check_message(throwing_client &, websocket::opcode,
                                std::uint64_t, std::uint64_t total) override
    {
        if (total == 13) {
            throw std::runtime_error("thrown in check_message");
        }
        return 0;
    }

private:
    void throw_if(std::string_view where, bool now = true) const
    {
        if (now && parameter("throw") == where) {
            throw std::runtime_error("thrown in " + std::string(where));
        }
    }

    static std::string_view name_of(websocket::send_result result)
    {
        return result == websocket::send_result::invalid ? "invalid" : "sent";
    }

    std::string handles() const
    {
        std::string text;
        for (const auto &known : known_) {
            text += known.get() == nullptr ? "gone " : "there ";
        }
        return text;
    }

    std::vector<websocket::client_ref<throwing_client>> known_;
};

} // namespace

WEBSOCKET_HANDLER("throwing", throwing)
