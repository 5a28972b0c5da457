// A client of a location with `websocket http`, from its connect event to the
// answer to its disconnect event, which may come after its session has ended.
#pragma once

#include "nginx/events/answer.hpp"
#include "nginx/events/client_record.hpp"
#include "nginx/events/event_request.hpp"
#include "nginx/events/settings.hpp"
#include "broker/types.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/core/nginx_headers.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace websocket::nginx {
class session;
}

namespace websocket::nginx::backend {

class pending_event;

// Learns whether the backend accepts a client.
class connect_listener {
public:
    virtual void on_connect_answer(answer &&got) noexcept = 0;

protected:
    ~connect_listener() = default;
};

class client {
public:
    // Creates the client of a handshake. Throws std::bad_alloc.
    client(ngx_http_request_t *r, std::string_view key);

    // Creates a client of a worker that has ended, to send its disconnect
    // event. Throws std::bad_alloc.
    client(const location_configuration &conf, const broker::found_note &found);

    // Leaves a note to the other workers, if there are disconnect events.
    // False: no memory is left for it.
    bool leave_note() noexcept;

    client(const client &) = delete;
    client &operator=(const client &) = delete;

    // Sends the connect event. The listener must live until its answer or
    // abandon(). False without memory.
    bool ask(connect_listener &listener, ngx_connection_t *c) noexcept;

    // The handshake has ended. The client is deleted, at once or once the
    // backend knows that it has gone.
    void abandon() noexcept;

    // Without a connect event the client is accepted as it is.
    void attach(session &to) noexcept { session_ = &to; }

    // Sends what the answer to the connect event has as first message.
    int begin() noexcept;

    // Keeps the message, and the session from reading on. Returns 0, or 1
    // without memory.
    int receive(bool binary, std::span<const std::byte> payload) noexcept;

    // Notes how the session has ended.
    void end(std::uint16_t code, std::string_view reason) noexcept;

    // The session has gone. The client is deleted after the disconnect event.
    void detach() noexcept;

    // Takes the state and the first message of a connect event's answer. False:
    // the answer is not valid, for the reason that is logged.
    bool accept(answer &got) noexcept;

    // Another host has sent the disconnect event. The client is closed, and may
    // be deleted on return.
    void lose() noexcept;

    // For Redis. Throws std::bad_alloc.
    std::string entry(std::uint64_t sequence) const;

    const client_record &record() const noexcept { return record_; }
    const location_configuration &configuration() const noexcept
    {
        return conf_;
    }

    // An event of the client has been answered, or has failed. The client may
    // be deleted on return. Without a listener the handshake has ended.
    void on_answered(event_kind kind, answer &got,
                     connect_listener *listener) noexcept;

private:
    ~client();

    const settings &by() const noexcept { return *conf_.backend; }
    bool enqueue(const event_data &event, ngx_connection_t *c,
                 connect_listener *listener = nullptr) noexcept;
    void log_failure(event_kind kind, const answer &got,
                     const char *problem) const noexcept;
    void finish() noexcept;
    void leave_to_others() noexcept;
    void close_lost() noexcept;
    void on_message_answer(answer &got) noexcept;
    const char *apply(answer &got) noexcept;
    const char *set_state(const answer &got);
    const char *set_user(const answer &got);
    int send(bool binary, std::string_view body) noexcept;

    // Null: the text is empty. Throws std::bad_alloc.
    static std::unique_ptr<std::string> copy_of(std::string_view text);

    session *session_ = nullptr; // null: before it began, or after its end
    const location_configuration &conf_;
    std::unique_ptr<std::string> state_;
    // The first message until it is sent, later the reason of the end
    std::unique_ptr<std::string> text_;
    pending_event *pending_ = nullptr; // the event that waits or is out
    client_record record_;
    broker::note note_; // none: no disconnect event follows
    std::uint32_t sequence_ = 0;
    std::uint16_t close_code_;
    bool first_is_binary_ = false;
    bool accepted_ = false;
    bool begun_ = false; // the session was open
    bool lost_ = false;  // another host has sent the disconnect event
};

} // namespace websocket::nginx::backend
