// The resource and the clients of the handler `room`.
//
// Clients that have connected to the room, and clients of `rooms` that are
// subscribed to it, are its *receivers*.
#pragma once

#include "handlers/presence_changes.hpp"
#include "handlers/room_json.hpp"
#include "handlers/room_parameters.hpp"
#include "handlers/room_place.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::handlers {

inline constexpr std::uint16_t try_again_later = 1013; // close code

struct rooms_client;

struct room_client : client {
    room_client();

    const std::uint64_t number; // its id
    const room_format format;   // one of a single room
    const bool may_publish;     // by the parameters of its location
    room_place place;
    unsigned behind = 0; // 1 if it is behind

    bool json() const noexcept { return format != room_format::plain; }

private:
    room_format chosen_format() const noexcept;
};

// A message in the formats that clients use. Each is created for the first
// client that uses it, and shared by all.
class message_frames {
public:
    // `room`: its name as JSON.
    message_frames(const message &source, std::string_view room) noexcept
        : source_{source}, room_{room}
    {}

    // Empty if there was no memory.
    const frame &in(room_format format) noexcept
    {
        lazy_frame &target = frames_[static_cast<std::size_t>(format)];

        if (!target.tried) {
            encode(target, format);
        }

        return target.encoded;
    }

    // As the object of rooms.v1.json.
    const std::string &object()
    {
        if (object_.empty()) {
            object_ = text_in(room_format::rooms);
        }

        return object_;
    }

private:
    struct lazy_frame {
        frame encoded;
        bool tried = false;
    };

    void encode(lazy_frame &target, room_format format) noexcept;
    std::string text_in(room_format format) const;

    const message &source_;
    std::string_view room_;
    std::array<lazy_frame, room_formats> frames_;
    std::string object_; // empty: not used yet
};

class room final : public resource<room_client, room_place, rooms_client> {
public:
    // The point in the log after which messages for a client begin.
    struct resume_point {
        message_id after;
        bool complete; // the client misses no message
    };

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

    void direct_message_received(room_client &to,
                                 const message &received) override;

    // room_delivery.cpp
    void message_published(const message &published) override;
    void messages_lost() override;
    void clients_lost() override;
    void client_drained(room_client &to) override;

    // room_subscribers.cpp
    // Who is present, by client or by user
    std::optional<std::uint64_t> presence_grace(room_client &client) override;
    std::optional<std::uint64_t>
    subscriber_presence_grace(rooms_client &client) override;
    void user_joined(std::string_view user, std::uint64_t client) override;
    void user_left(std::string_view user, std::uint64_t client) override;

    void client_subscribed(rooms_client &client, room_place &place,
                           const message_id *since) override;
    void client_unsubscribed(rooms_client &client, room_place &place) override;

    // For `rooms`, once the client knows that it is subscribed: sends messages
    // after `start` to it from now on.
    void begin(rooms_client &client, room_place &place, message_id start);

    // Sends what a client that is behind has missed. False: it cannot take more
    // now.
    bool resume(rooms_client &client, room_place &place);

    // Publishes a message of a subscriber.
    void publish_for(rooms_client &from, opcode kind,
                     std::span<const std::byte> data, std::size_t result_bytes,
                     std::function<void(const publish_result &)> on_result);

    // Without `since`: the end of the log.
    resume_point find_resume_point(const message_id *since);

    std::string_view json_name() const noexcept { return json_name_; }

    // The last message that a client with this place was sent.
    message_id position_of(const room_place &place) const noexcept
    {
        return place.progress ? place.progress->delivered : delivered_;
    }

private:
    void welcome(room_client &client, const resume_point &start);
    void handle_request(room_client &from, std::string_view text);
    void publish_plain(room_client &from, opcode kind,
                       std::span<const std::byte> data);
    static void send_result_object(const client_ref<room_client> &publisher,
                                   std::string_view ref,
                                   const publish_result &done);
    static void report_failure(const client_ref<room_client> &publisher,
                               send_result result);
    void announce(std::string_view event, const client &of,
                  std::uint64_t number);

    // Calls each(room_receiver) for all receivers on this worker.
    template <class Each>
    void for_each_receiver(Each each);
    static room_receiver receiver_of(room_client &client) noexcept;
    static room_receiver receiver_of(rooms_client &client,
                                     room_place &place) noexcept;
    std::string_view room_of(room_receiver to) const noexcept;

    // room_presence.cpp

    void record_change(bool joined, std::uint64_t client,
                       std::string_view user);
    void count_again();
    void check_count_later();
    void check_count();
    bool may_send_changes();
    void send_changes();
    void send_later_changes();
    void send_changes_in_order();
    void note_published(const publish_result &done) noexcept;
    void try_send_changes() noexcept;
    std::size_t count_presence_receivers();
    void send_named_events(std::uint64_t count);
    void send_count(std::uint64_t count);
    bool send_event(room_receiver to, const frame &event);

    // room_delivery.cpp
    void start_from(room_receiver to, message_id after);
    void on_failed_delivery(send_result result, room_receiver to);
    void mark_behind(room_receiver receiver, message_id delivered) noexcept;
    bool catch_up(room_receiver to);
    bool replay(room_receiver to);
    send_result send_message(room_receiver to, const message &published,
                             message_frames &frames) noexcept;
    bool send_from_history(room_receiver to, const message &next);
    bool send_gap(room_receiver to);
    void become_live(room_receiver to);

    std::string config_error_;          // of the parameters
    std::string json_name_;             // its name as JSON
    message_id delivered_;              // the last message delivered here
    message_id published_;              // the last message published here
    presence_changes changes_;          // not yet sent to clients
    timer presence_timer_;              // active until they may be sent
    unsigned presence_delays_ = 0;      // of the timer, since the last changes
    timer count_timer_;                 // active until the number is compared
    unsigned count_delays_ = 0;         // of that timer
    std::uint64_t announced_count_ = 0; // of clients, last sent

    // Of clients without a user, and users: then, or at the first receiver
    std::uint64_t known_present_ = 0;
    std::size_t receivers_ = 0; // on this worker, since start_from()
};

// A message for the client of a publication that has failed.
std::string_view failure_text(send_result result) noexcept;

// The id of the next message.
constexpr message_id following(message_id id) noexcept
{
    return {id.epoch, id.sequence + 1};
}

} // namespace websocket::handlers
