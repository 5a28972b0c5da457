// The resource of the handler `room`, and what it knows of each client.
//
// A client is either *live*: it is sent what the room publishes as it comes;
// or *behind*: it has yet to get messages of before, gets them out of the
// history as fast as it takes them, and becomes live when there are no more.
// What it needed and history has no more is never passed over in silence:
// JSON clients are told of a gap, others are closed with 1013.
#pragma once

#include "handlers/presence_changes.hpp"
#include "handlers/room_parameters.hpp"

#define WEBSOCKET_BUILT_IN
#include "sdk/websocket.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::handlers {

inline constexpr std::uint16_t try_again_later = 1013; // close code

struct room_client : client {
    room_client();

    const std::uint64_t number; // its id
    const bool json;            // it speaks room.v1.json
    const bool may_publish;     // as the location says that it came through
    const bool gets_own;        // and its own messages
    const bool gets_presence;   // and is told who comes and goes
    bool live = false;

    // How many changes of presence came here before the client
    std::uint64_t changes_before = 0;

    // While it is behind
    message_id given;         // the last message it was given
    std::uint64_t told = 0;   // how many clients it was told of
    bool missed_news = false; // of who came and went
};

// A message in the forms that clients want, each made when the first one does,
// and shared by all.
class message_forms {
public:
    explicit message_forms(const message &given) noexcept : given_{given} {}

    // There is nothing in it if there was no memory.
    const frame &of(const room_client &to) noexcept
    {
        form &wanted = to.json ? json_ : plain_;

        if (!wanted.tried) {
            make(wanted, to.json);
        }

        return wanted.made;
    }

private:
    struct form {
        frame made;
        bool tried = false;
    };

    void make(form &wanted, bool json) noexcept;

    const message &given_;
    form json_;
    form plain_;
};

class room final : public resource<room_client> {
public:
    room();

    std::string configured() override;
    unsigned client_connecting(const request &asked) override;
    std::string_view
    select_subprotocol(const request &asked,
                       std::span<const std::string_view> offered) override;

    void client_connected(room_client &to) override;
    void client_disconnected(room_client &from, std::uint16_t status,
                             std::string_view reason) override;
    void text_message_received(room_client &from,
                               std::string_view text) override;
    void binary_message_received(room_client &from,
                                 std::span<const std::byte> data) override;

    // room_delivery.cpp
    void message_published(const message &news) override;
    void messages_lost() override;
    void clients_lost() override;
    void client_drained(room_client &to) override;

private:
    // Where a client that has seen the messages up to one goes on.
    struct resumption {
        message_id given;
        bool complete; // it has missed nothing
    };

    resumption resume(message_id since);
    void welcome(room_client &to, bool recovered);
    void answer_request(room_client &from, std::string_view text);
    void publish_plain(room_client &from, opcode kind,
                       std::span<const std::byte> data);
    static void answer(const client_ref<room_client> &asked,
                       std::string_view ref, const publish_result &done);
    static void refuse(const client_ref<room_client> &publisher,
                       send_result why);
    void announce(std::string_view what, const room_client &who);

    // room_presence.cpp

    // `client` 0: of an unknown number of them.
    void note_change(bool came, std::uint64_t client);
    void tell_of_changes();
    void try_to_tell_of_changes() noexcept;
    std::size_t presence_listeners();
    void send_names(const std::vector<frame> &frames);
    void send_number(std::uint64_t count);
    bool send_event(room_client &to, const frame &words);

    // room_delivery.cpp
    static bool own(const room_client &to, const message &news) noexcept
    {
        return !to.gets_own && news.from == to.number;
    }
    void fall_behind(room_client &to, message_id given) noexcept;
    void catch_up(room_client &to);
    bool read_on(room_client &to);
    bool hand_over(room_client &to, const message &next);
    bool tell_of_gap(room_client &to) noexcept;
    void become_live(room_client &to);

    std::string complaint_; // of the parameters
    std::string json_name_;
    message_id delivered_;     // the last message that came here
    presence_changes changes_; // that clients have yet to be told of
    timer presence_timer_;     // until they may be told again
    std::uint64_t told_ = 0;   // how many clients were told of last
};

// The message behind one.
constexpr message_id following(message_id id) noexcept
{
    return {id.epoch, id.sequence + 1};
}

} // namespace websocket::handlers
