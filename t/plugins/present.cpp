// Sends its clients who joins and leaves, by user. The grace is a parameter.
#include "websocket.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace {

class present final : public websocket::resource<> {
public:
    std::optional<std::uint64_t>
    presence_grace(websocket::client &client) override
    {
        const std::string grace(client.parameter("grace"));

        return grace.empty() ? std::nullopt
                             : std::optional<std::uint64_t>(std::stoull(grace));
    }

    void user_joined(std::string_view user, std::uint64_t client) override
    {
        send_all("joined", user, client);
    }

    void user_left(std::string_view user, std::uint64_t client) override
    {
        send_all("left", user, client);
    }

    void text_message_received(websocket::client &from,
                               std::string_view) override
    {
        from.send_text_message(std::to_string(client_count()) + " clients, " +
                               std::to_string(count_present()) + " present");
    }

private:
    void send_all(std::string_view what, std::string_view user,
                  std::uint64_t client)
    {
        const std::string text = std::string(what) + ' ' + std::string(user) +
                                 ' ' + std::to_string(client);

        for (websocket::client &each : clients()) {
            each.send_text_message(text);
        }
    }
};

WEBSOCKET_HANDLER("present", present)

} // namespace
