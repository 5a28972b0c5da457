// The resource and the clients of the handler `room`.
//
// A client is either *live* or *behind*. A live client is sent messages as they
// are published. A client that is behind is sent earlier messages from the
// history as fast as it reads them; then it becomes live. If the history no
// longer has a message that the client needs, a JSON client is sent a gap, any
// other is closed with 1013.
#pragma once

#include "handlers/presence_changes.hpp"
#include "handlers/room_json.hpp"
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

    const std::uint64_t number;   // its id
    const bool json;              // uses room.v1.json
    const bool may_publish;       // the parameters of its location
    const bool receives_own;      // messages
    const bool receives_presence; // events
    bool live = false;

    // Presence changes on this worker before the client joined
    std::uint64_t changes_before = 0;

    // While it is behind
    message_id delivered_id;           // of the last message sent to it
    std::uint64_t announced_count = 0; // the last number of clients sent to it
    bool presence_stale = false;       // it missed presence events
};

// A message in the encodings that clients use. Each is created for the first
// client that uses it, and shared by all.
class message_frames {
public:
    explicit message_frames(const message &source) noexcept : source_{source} {}

    // Empty if there was no memory.
    const frame &for_client(const room_client &client) noexcept
    {
        lazy_frame &target = client.json ? json_ : plain_;

        if (!target.tried) {
            encode(target, client.json);
        }

        return target.encoded;
    }

private:
    struct lazy_frame {
        frame encoded;
        bool tried = false;
    };

    void encode(lazy_frame &target, bool json) noexcept;

    const message &source_;
    lazy_frame json_;
    lazy_frame plain_;
};

class room final : public resource<room_client> {
public:
    room();

    std::string check_parameters() override;
    unsigned client_connecting(const request &handshake) override;
    std::string_view
    select_subprotocol(const request &handshake,
                       std::span<const std::string_view> offered) override;

    void client_connected(room_client &client) override;
    void client_disconnected(room_client &from, std::uint16_t status,
                             std::string_view reason) override;
    void text_message_received(room_client &from,
                               std::string_view text) override;
    void binary_message_received(room_client &from,
                                 std::span<const std::byte> data) override;

    // room_delivery.cpp
    void message_published(const message &published) override;
    void messages_lost() override;
    void clients_lost() override;
    void client_drained(room_client &to) override;

private:
    // The position in the log from which a client is sent messages.
    struct resume_point {
        message_id after;
        bool complete; // the client misses no message
    };

    resume_point find_resume_point(message_id since);
    void welcome(room_client &client, bool recovered);
    void handle_request(room_client &from, std::string_view text);
    static void renew_token(room_client &from,
                            const room_json::request &parsed);
    void publish_plain(room_client &from, opcode kind,
                       std::span<const std::byte> data);
    static void send_result_object(const client_ref<room_client> &publisher,
                                   std::string_view ref,
                                   const publish_result &done);
    static void report_failure(const client_ref<room_client> &publisher,
                               send_result result);
    void announce(std::string_view event, const room_client &client);

    // room_presence.cpp

    // `client` 0: an unknown number of clients.
    void record_change(bool joined, std::uint64_t client);
    void check_count();
    void send_changes();
    void send_changes_in_order();
    void note_published(const publish_result &done) noexcept;
    void try_send_changes() noexcept;
    std::size_t count_presence_receivers();
    void send_named_events(const std::vector<frame> &frames);
    void send_count(std::uint64_t count);
    bool send_event(room_client &to, const frame &event);

    // room_delivery.cpp
    static bool is_own(const room_client &to, const message &published) noexcept
    {
        return !to.receives_own && published.from == to.number;
    }
    void mark_behind(room_client &client, message_id delivered) noexcept;
    void catch_up(room_client &to);
    bool replay(room_client &to);
    bool send_from_history(room_client &to, const message &next);
    bool send_gap(room_client &to) noexcept;
    void become_live(room_client &to);

    std::string config_error_; // of the parameters
    std::string json_name_;
    message_id delivered_;              // the last message delivered here
    message_id published_;              // the last message published here
    presence_changes changes_;          // not yet sent to clients
    timer presence_timer_;              // active until they may be sent
    unsigned presence_delays_ = 0;      // of the timer, since the last changes
    std::uint64_t announced_count_ = 0; // of clients, last sent
};

// The id of the next message.
constexpr message_id following(message_id id) noexcept
{
    return {id.epoch, id.sequence + 1};
}

} // namespace websocket::handlers
