// Small types of a session: its phases, the side or cause that ended it, its
// counters, and the options that the handshake has negotiated.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "nginx/request/variable_reader.hpp"
#include "protocol/deflate/permessage_deflate.hpp"

#include <cstdint>
#include <memory>
#include <string_view>

namespace websocket::nginx {

class session_wait;

enum class close_initiator : std::uint8_t {
    nobody,
    client,
    server,
    timeout,
    error
};

enum class session_phase : std::uint8_t {
    created, // start() has not run
    joining, // earlier messages are still delivered; none is read
    open,
    close_postponed, // the Close frame waits for messages published before
                     // it
    closing,         // a Close was sent; input is discarded up to the peer's
    flushing,        // nothing more is read; the send queue is still sent
    lingering,       // our side is shut down; input is discarded until the end
    ended,
};

std::string_view name_of(close_initiator initiator) noexcept;

// Why a session ends. Only the first cause counts.
class close_record {
public:
    // False: there is one already.
    bool set(std::uint16_t code, std::string_view reason,
             close_initiator initiator) noexcept;

    bool empty() const noexcept { return by_ == close_initiator::nobody; }
    close_initiator by() const noexcept { return by_; }
    std::uint16_t code() const noexcept { return code_; }
    std::string_view reason() const noexcept
    {
        return {reason_.get(), reason_size_};
    }

private:
    std::unique_ptr<char[]> reason_;
    std::uint16_t code_ = 0;
    close_initiator by_ = close_initiator::nobody;
    std::uint8_t reason_size_ = 0;
};

struct session_counters {
    std::uint64_t messages_in = 0;
    std::uint64_t messages_out = 0;
    std::uint64_t bytes_in = 0; // payload bytes of messages
    std::uint64_t bytes_out = 0;
    std::uint64_t dropped = 0; // messages that a full send queue rejected
};

// The part of a session that ends when its request is released, in the
// request's pool.
struct session_request_part {
    ngx_http_request_t *request;
    ngx_str_t key; // of the resource
    ngx_event_t start_event;
    ngx_event_handler_pt read_handler;
    ngx_event_handler_pt write_handler;
    std::uint64_t join_position;
    session_wait *wait;         // until the host is in sync; null: it is
    variable_reader *variables; // owned; null until a handler reads one
};

struct negotiated_options {
    std::string_view subprotocol; // in the request's pool
    protocol::deflate_params deflate;
    bool event_stream = false; // server-sent events instead of frames

    // Messages are sent as uncompressed frames.
    bool plain_frames() const noexcept
    {
        return !deflate.agreed && !event_stream;
    }
};

} // namespace websocket::nginx
