// One client's connection from the upgrade to its end: reads frames, hands
// messages to the resource handler, sends what is to be sent, keeps the
// timers and the closing handshake.
//
// A session ends in its own event handlers only, never inside a call of a
// handler's: whoever sends to it or closes it may go on using it until its
// own callback returns.
#pragma once

#include "nginx/core/configuration.hpp"
#include "nginx/core/timestamp.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/output/frame_writer.hpp"
#include "nginx/output/shared_frame.hpp"
#include "nginx/request/saved_request.hpp"
#include "nginx/request/variable_reader.hpp"
#include "nginx/resource/membership.hpp"
#include "nginx/resource/postponed_sends.hpp"
#include "nginx/resource/resource.hpp"
#include "nginx/session/flush_list.hpp"
#include "protocol/deflater.hpp"
#include "protocol/endpoint.hpp"
#include "protocol/rate_limit.hpp"
#include "protocol/permessage_deflate.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace websocket::nginx {

// Who began the end of a connection, for the log.
enum class close_initiator : std::uint8_t {
    nobody,
    client,
    server,
    timeout,
    error
};

std::string_view name_of(close_initiator initiator) noexcept;

struct session_counters {
    std::uint64_t messages_in = 0;
    std::uint64_t messages_out = 0;
    std::uint64_t bytes_in = 0; // payload of messages
    std::uint64_t bytes_out = 0;
    std::uint64_t dropped = 0; // messages that a full queue did not take
};

// What client and server have agreed on in the opening handshake.
struct negotiated_options {
    std::string_view subprotocol; // in the request's memory
    protocol::deflate_agreement deflate;
};

class session : public membership {
public:
    // Makes the session of a request that is being upgraded, for a resource
    // that has admitted the client at `position`. It ends with
    // the request, or with the connection if the request is released first.
    // `key` lives as long as the request. Null when there is no memory, or the
    // handler could not make its client.
    static session *create(ngx_http_request_t *r, resource &target,
                           ngx_str_t key, const negotiated_options &negotiated,
                           std::uint64_t position) noexcept;

    // It will not start: its handshake is refused after all.
    void cancel() noexcept { leave_resource(); }

    // The session of a request, or null.
    static session *of(ngx_http_request_t *r) noexcept;

    session(const session &) = delete;
    session &operator=(const session &) = delete;

    // Has start() called once the current event is over.
    void post_start() noexcept;

    // Sends one message. Returns a result of websocket_plugin.h.
    int send_message(protocol::opcode kind,
                     std::span<const std::byte> payload) noexcept;

    // The same for one frame that many clients share.
    int send_shared(const shared_frame &frame) noexcept;

    // Whether its resource has published something that has to be delivered
    // before anything else is sent. Then these two take the place of the ones
    // above: the same results, of the queue with what waits in it.
    bool must_postpone() const noexcept
    {
        return resource_ != nullptr && resource_->has_undelivered_own();
    }
    int postpone_message(protocol::opcode kind,
                         std::span<const std::byte> payload) noexcept;
    int
    postpone_frame(const std::shared_ptr<const shared_frame> &frame) noexcept;

    // Sends the first of what was postponed.
    void send_postponed() noexcept;

    // What was delivered up to there is not for this client.
    std::uint64_t join_position() const noexcept
    {
        return request_part_->join_position;
    }

    // That is delivered now: joins its resource. Its reading goes on later.
    void on_join_position() noexcept;

    int send_ping(std::span<const std::byte> payload) noexcept;

    // Begins the closing handshake, unless it has begun; after what its
    // resource has published by now.
    void close(std::uint16_t code, std::string_view reason,
               close_initiator initiator) noexcept;

    // The worker leaves at once: tells the client and ends the session.
    void terminate() noexcept;

    // False once it is ending, or before its start.
    bool open() const noexcept { return phase_ == phase::open; }

    const session_counters &counters() const noexcept { return counters_; }
    const ngx_str_t &key() const noexcept { return key_; }
    std::string_view subprotocol() const noexcept
    {
        return negotiated_.subprotocol;
    }
    const location_configuration &configuration() const noexcept
    {
        return conf_;
    }
    const protocol::deflate_agreement &deflate() const noexcept
    {
        return negotiated_.deflate;
    }
    const websocket_handler_t &handler() const noexcept
    {
        return *conf_.handler;
    }
    // Unique over the workers, and over all hosts that share Redis.
    std::uint64_t id() const noexcept;
    std::uint16_t close_code() const noexcept { return close_code_; }
    close_initiator closed_by() const noexcept { return closed_by_; }

    // What its clients publish has to wait no more: those that were held back
    // for it are read again; or this one, if it was.
    static void resume_all_reads() noexcept;
    void resume_read() noexcept;

    // Null once it is released.
    ngx_http_request_t *request() const noexcept { return request_; }

    // What lasts of the request until the session ends.
    std::string_view uri() const noexcept;
    std::string_view args() const noexcept;
    // Nothing once the request is released. See variable_reader for how long
    // the text lasts.
    std::optional<std::string_view>
    variable(std::string_view name) const noexcept;
    std::string_view remote_address() const noexcept
    {
        return view(connection_->addr_text);
    }

    std::size_t queue_cost() const noexcept
    {
        return writer_.queue_cost() + postponed_.cost();
    }

    // Called by the worker's list of those that have something to send.
    // Returns the bytes that were sent.
    std::size_t flush_posted() noexcept;
    void set_flush_index(flush_list::index to) noexcept { flush_index_ = to; }

    // Has the processor fetch what a flush will need.
    void prefetch() const noexcept;
    void prefetch_connection() const noexcept;

    // The session of a link in the worker's list.
    static session *from_link(ngx_queue_t *queue) noexcept
    {
        return reinterpret_cast<session *>(
            reinterpret_cast<std::byte *>(queue) - link_offset);
    }

private:
    enum class phase : std::uint8_t {
        created, // for start()
        joining, // for what was published before it: not read yet
        open,
        close_postponed, // its end was postponed: nothing more is delivered to
                         // it
        closing,   // a Close was sent: what comes is dropped up to the peer's
        flushing,  // nothing more is read; what waits is still sent
        lingering, // our side is shut; what comes is dropped until the end
        ended,
    };

    // The same in all sessions: known once there is one.
    static inline std::ptrdiff_t link_offset;

    // In the request's memory: of use as long as there is one.
    struct request_part {
        ngx_event_t start_event;
        ngx_event_handler_pt read_handler;
        ngx_event_handler_pt write_handler;
        std::uint64_t join_position;
        variable_reader *variables; // owned; null until one is asked for
    };

    session(ngx_http_request_t *r, request_part &part, resource &target,
            ngx_str_t key, const negotiated_options &negotiated) noexcept;
    ~session() = default;
    static void *allocate(ngx_http_request_t *r) noexcept;
    void destroy() noexcept;

    static void on_read(ngx_event_t *event);
    static void on_write(ngx_event_t *event);
    static void on_tls_shut(ngx_connection_t *c);
    static void on_start(ngx_event_t *event);
    static void on_connected(ngx_event_t *event);
    static void on_request_event(ngx_http_request_t *r);
    static void on_request_cleanup(void *data);
    static void on_pool_cleanup(void *data);
    static u_char *on_log(ngx_log_t *log, u_char *buffer, std::size_t size);

    void install_handlers() noexcept;
    void start() noexcept;
    void take_over_connection() noexcept;
    void adopt_unsent_header() noexcept;
    void rearm_or_finish() noexcept;
    bool create_client() noexcept;
    void connect_client() noexcept;
    void begin_reading() noexcept;

    // released.cpp
    void release_request() noexcept;
    void detach_request() noexcept;
    void finish_without_request() noexcept;

    // read_loop.cpp
    void read_turn() noexcept;
    bool read_once(std::size_t &budget) noexcept;
    std::size_t read_size() const noexcept;
    void process_pipelined() noexcept;
    bool receiving() const noexcept;
    bool publishing_congested() const noexcept;
    void note_publication() noexcept;
    void process_rest() noexcept;
    void copy_rest(std::span<std::byte> rest) noexcept;
    bool has_input() const noexcept
    {
        return rest_ || connection_->read->ready;
    }
    void on_eof(bool broken) noexcept;
    void discard_input() noexcept;
    phase phase_after_close() const noexcept;
    bool count_dropped(std::size_t size) noexcept;
    bool has_unread_input() noexcept;

    // receive.cpp
    std::span<std::byte> process(std::span<std::byte> input) noexcept;
    bool accepts_frames() const noexcept;
    std::span<std::byte> process_frames(std::span<std::byte> input) noexcept;
    bool process_whole_messages(std::span<std::byte> &input) noexcept;
    void dispatch(const protocol::event &received) noexcept;
    bool check_rate_limit() noexcept;
    bool is_solicited_pong() noexcept;
    void dispatch_message(protocol::opcode kind,
                          const payload_ref &payload) noexcept;
    void check_message(const protocol::event &frame) noexcept;
    void dispatch_pong(const protocol::event &received) noexcept;
    void close_if_failed(int outcome) noexcept;

    // send.cpp
    int check_can_send() noexcept;
    bool accepts_deliveries() const noexcept;
    std::size_t queue_limit() const noexcept;
    int send_now(protocol::opcode kind,
                 std::span<const std::byte> payload) noexcept;
    int send_now(const shared_frame &frame) noexcept;
    bool is_valid_text(std::span<const std::byte> payload) const noexcept;
    int check_send_queue() noexcept;
    int send_compressed(protocol::opcode kind,
                        std::span<const std::byte> payload) noexcept;
    int finish_send(bool written, std::size_t size) noexcept;
    std::size_t backpressure_threshold() const noexcept;
    bool has_backpressure() noexcept;
    int reject_for_full_queue() noexcept;
    int check_can_postpone() noexcept;
    int postpone(postponed_send *what) noexcept;
    void send_all_postponed() noexcept;

    // flush.cpp
    void write_control(const protocol::control_frame &frame) noexcept;
    void write_ping(std::span<const std::byte> payload) noexcept;
    void flush() noexcept;
    void flush_later() noexcept;
    void read_if_possible() noexcept;
    void on_timer() noexcept;
    void check_idle() noexcept;

    // closing.cpp
    void begin_end(const protocol::control_frame &frame, phase next) noexcept;
    void close_immediately(std::uint16_t code, std::string_view reason,
                           close_initiator initiator) noexcept;
    void fail(const protocol::event &failure) noexcept;
    void end_within(ngx_msec_t timeout) noexcept;
    ngx_msec_t remaining_for_close(ngx_msec_t left) const noexcept;
    void on_close_timeout() noexcept;
    void on_send_timeout() noexcept;
    void on_connection_error() noexcept;
    void record_end(std::uint16_t code, std::string_view reason,
                    close_initiator initiator) noexcept;
    void enter_phase(phase next) noexcept;
    void linger() noexcept;
    ngx_int_t half_close() noexcept;

    // shutdown.cpp
    void on_shutdown() noexcept;
    void close_for_shutdown() noexcept;
    void send_close_and_abort() noexcept;

    // teardown.cpp
    void leave_resource() noexcept;
    void detach() noexcept;
    void finish() noexcept;
    void log_end() noexcept;

    // compression.cpp
    bool should_compress(std::size_t size) const noexcept
    {
        return negotiated_.deflate.agreed && size >= conf_.deflate_min_length;
    }
    bool may_compress(std::size_t size, int level) const noexcept;
    protocol::shared_buffer
    compress(protocol::opcode kind,
             std::span<const std::byte> payload) noexcept;
    protocol::shared_buffer compress(const shared_frame &frame) noexcept;

    ngx_connection_t *connection_;
    ngx_http_request_t *request_;
    const location_configuration &conf_;
    protocol::endpoint endpoint_;
    frame_writer writer_;
    session_counters counters_;
    ngx_queue_t link_{};
    postponed_list postponed_;
    resource *resource_;     // until it is left
    void *client_ = nullptr; // the handler's own object

    ngx_str_t key_;
    negotiated_options negotiated_;
    protocol::deflater deflater_; // with context takeover, once it is needed
    std::unique_ptr<char[]> close_reason_;
    request_part *request_part_; // null once the request is released
    std::unique_ptr<const saved_request> saved_; // from then on

    protocol::shared_buffer rest_; // input that a turn has left over
    protocol::message_meter rate_limiter_;
    ngx_msec_t started_ = 0;
    ngx_msec_t end_at_ = 0; // when closing, or where the worker is leaving

    timestamp last_received_;
    timestamp last_sent_;
    timestamp last_ping_;
    std::uint32_t rest_begin_ = 0; // what was taken of it
    flush_list::index flush_index_ = flush_list::npos;
    std::uint32_t dropped_input_ = 0; // bytes that came after a Close
    phase phase_ = phase::created;
    phase postponed_phase_ = phase::closing; // while it is ending
    close_initiator closed_by_ = close_initiator::nobody;
    std::uint16_t close_code_ = 0;
    std::uint16_t unanswered_pings_ = 0;
    std::uint8_t close_reason_size_ = 0;
    bool first_turn_ : 1 = true;
    bool in_turn_ : 1 = false;
    bool listed_ : 1 = false; // its resource knows of it
    bool client_connected_ : 1 =
        false;                       // the handler has been told of the client
    bool backpressured_ : 1 = false; // something has waited for the client
    bool peer_finished_ : 1 = false; // it has ended its side of the connection
    bool sends_after_close_ : 1 = false;
    bool shutting_down_ : 1 = false;
    bool protocol_broken_ : 1 = false; // the client need not send a Close
    bool has_published_ : 1 = false;   // to other hosts
};

} // namespace websocket::nginx
