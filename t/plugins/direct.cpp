// Sends to single clients and users, closes users, and lists them.
#include "websocket.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace {

// Removes the first word and returns it.
std::string_view take_word(std::string_view &text)
{
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);

    text.remove_prefix(std::min(end + 1, text.size()));
    return word;
}

class direct final : public websocket::resource<> {
public:
    void client_connected(websocket::client &client) override
    {
        client.send_text_message(std::to_string(client.id()));
    }

    void text_message_received(websocket::client &from,
                               std::string_view text) override
    {
        const std::string_view verb = take_word(text);
        const std::string target(take_word(text));

        if (verb == "all") {
            send_users_of_all_hosts(from, target);
            return;
        }

        if (verb == "flood") {
            from.send_text_message("sent to " + std::to_string(flood(target)));
            return;
        }

        if (verb == "users") {
            from.send_text_message(users(target));
            return;
        }

        const std::uint32_t count =
            verb == "client" ? send_to_client(std::stoull(target), text)
            : verb == "user" ? send_to_user(target, text)
                             : close_user(target, 4001, text);

        from.send_text_message("sent to " + std::to_string(count));
    }

private:
    // Sends a thousand numbers to the user.
    std::uint32_t flood(const std::string &user)
    {
        std::uint32_t reached = 0;

        for (int number = 0; number != 1000; number++) {
            reached += send_to_user(user, std::to_string(number));
        }

        return reached;
    }

    void send_users_of_all_hosts(websocket::client &to, std::string_view after)
    {
        find_users(after, 3,
                   [to = websocket::client_ref<websocket::client>(to)](
                       const websocket::found_users &found) {
                       std::string text = found.complete ? "all: " : "some: ";

                       for (const auto &[user, clients] : found.users) {
                           text.append(user).append("=");
                           text.append(std::to_string(clients)) += ' ';
                       }

                       if (websocket::client *client = to.get()) {
                           client->send_text_message(
                               text.append(found.more ? "more" : ""));
                       }
                   });
    }

    std::string users(std::string_view after) const
    {
        std::string found;

        for_each_user(after, [&](std::string_view user, std::uint32_t count) {
            found.append(user).append("=").append(std::to_string(count)) += ' ';
            return user != "stop";
        });

        return found;
    }
};

WEBSOCKET_HANDLER("direct", direct)

} // namespace
