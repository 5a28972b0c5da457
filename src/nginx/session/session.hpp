// A session: one client's connection from the upgrade to its end. It reads
// frames, dispatches messages to the resource handler, sends, runs the timers
// and the closing handshake.
//
// It is destroyed only in its own event handlers. A handler that sends to a
// client, or closes it, may use it until its own callback returns.
#pragma once

#include "nginx/core/configuration.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/core/timestamp.hpp"
#include "nginx/identity/identity.hpp"
#include "nginx/output/frame_writer.hpp"
#include "nginx/output/shared_frame.hpp"
#include "nginx/request/saved_request.hpp"
#include "nginx/resource/membership.hpp"
#include "nginx/resource/postponed_sends.hpp"
#include "nginx/resource/resource.hpp"
#include "nginx/session/flush_list.hpp"
#include "nginx/session/session_types.hpp"
#include "protocol/deflate/deflater.hpp"
#include "protocol/messages/endpoint.hpp"
#include "protocol/messages/rate_limit.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace websocket::nginx {

class subscription_set;

class session : public membership {
public:
    // Creates the session of a request that is being upgraded, for a resource
    // that has reserved the client at `position`. Without a position, it has
    // begun to wait, and the session joins when the host is in sync. The
    // session ends with the request, or with the connection if the request is
    // released first. `key` must live as long as the request. Returns null
    // without memory, or if the handler could not create its client object.
    static session *create(ngx_http_request_t *r, resource &target,
                           ngx_str_t key, const negotiated_options &negotiated,
                           std::optional<std::uint64_t> position) noexcept;

    // Ends a session that has not started, because its handshake is rejected
    // after all.
    void cancel() noexcept { leave_resource(); }

    // Returns the session of a request, or null.
    static session *of(ngx_http_request_t *r) noexcept;

    session(const session &) = delete;
    session &operator=(const session &) = delete;

    void post_start() noexcept; // start() runs after the current event

    // Sends one message. Returns a result of websocket_plugin.h.
    int send_message(protocol::opcode kind,
                     std::span<const std::byte> payload) noexcept;

    // The same for a frame that many clients share.
    int send_shared(const shared_frame &frame) noexcept;

    // True if this worker has not delivered all that the resource has
    // published. Then the two functions below replace the two above. Their
    // results also count the postponed sends.
    bool must_postpone() const noexcept
    {
        return resource_ != nullptr && resource_->has_undelivered_own();
    }
    int postpone_message(protocol::opcode kind,
                         std::span<const std::byte> payload) noexcept;
    int
    postpone_frame(const std::shared_ptr<const shared_frame> &frame) noexcept;

    void send_postponed() noexcept; // the first one

    // The client receives only messages after this position of the log.
    std::uint64_t join_position() const noexcept
    {
        return request_part_->join_position;
    }

    // Sends now, or once what was published before is delivered.
    int send(protocol::opcode kind, std::span<const std::byte> payload) noexcept
    {
        return must_postpone() ? postpone_message(kind, payload)
                               : send_message(kind, payload);
    }

    // The handler's object of the client; null: there is none.
    void *object() const noexcept { return client_; }

    // It will be sent a message soon: loads memory that this needs.
    void prefetch_sending() const noexcept
    {
        __builtin_prefetch(&client_);
        __builtin_prefetch(&writer_);
        __builtin_prefetch(&phase_);
    }

    // Null after the client has left it.
    resource *home() const noexcept { return resource_; }

    // The client's places in further resources, until it leaves its own.
    std::unique_ptr<subscription_set> &subscriptions() noexcept
    {
        return subscriptions_;
    }
    const subscription_set *subscriptions() const noexcept
    {
        return subscriptions_.get();
    }

    // Closes the session if a callback returned an error. The handler has
    // logged the cause.
    void close_if_failed(int outcome) noexcept;

    // Nothing is read from the client between these two. Input that has been
    // received is kept.
    void hold_input() noexcept { input_held_ = true; }
    void release_input() noexcept
    {
        input_held_ = false;
        resume_read();
    }

    // Reads no further message before other clients were served: a handler has
    // done for one what takes longer than a turn.
    void end_turn() noexcept;

    void on_hosts_synced() noexcept; // a waiting client joins its resource
    void on_hosts_timeout() noexcept;

    // Connects the client once the resource has delivered its join position.
    // Reading starts with a later event.
    void on_join_position() noexcept;

    int send_ping(std::span<const std::byte> payload) noexcept;

    // Begins the closing handshake, unless it has begun. The Close frame is
    // sent after all that the resource has published so far. Before the start
    // it only records the code and the reason.
    void close(std::uint16_t code, std::string_view reason,
               close_initiator initiator) noexcept;

    // For a fast shutdown: sends a Close frame if it can, and ends the session.
    void terminate() noexcept;

    // Over HTTP/2 and HTTP/3, clients share a connection.
    static bool shares_connection(const ngx_http_request_t *r) noexcept;

    // Begins the graceful shutdown of clients that share a connection.
    static void on_worker_exiting() noexcept;

    // False before the start, and once the session is ending.
    bool open() const noexcept { return phase_ == phase::open; }

    const session_counters &counters() const noexcept { return counters_; }
    std::string_view key() const noexcept;
    std::string_view subprotocol() const noexcept
    {
        return negotiated_.subprotocol;
    }
    const identity *known_as() const noexcept { return identity_.get(); }

    // From now on the client is closed when this token ends. False if it is of
    // another user, or the client came without a token.
    bool replace_token(std::shared_ptr<const tokens::token> newer) noexcept;
    std::string_view user() const noexcept // empty: nobody
    {
        return identity_ ? std::string_view(identity_->user)
                         : std::string_view{};
    }
    const location_configuration &configuration() const noexcept
    {
        return conf_;
    }
    const protocol::deflate_params &deflate() const noexcept
    {
        return negotiated_.deflate;
    }
    const websocket_handler_t &handler() const noexcept
    {
        return *conf_.handler;
    }
    // Unique among all workers, and among all hosts that share a Redis server.
    std::uint64_t id() const noexcept { return id_of(connection_); }

    // The id that the client of a handshake will have.
    static std::uint64_t id_of(const ngx_connection_t *c) noexcept;
    ngx_connection_t *connection() const noexcept { return connection_; }
    const close_record &closed() const noexcept { return closed_; }

    // Resume reading after publishing was congested: all sessions that were
    // paused for it, or this one.
    static void resume_all_reads() noexcept;
    void resume_read() noexcept;

    // Null once the request is released; the next two remain available.
    ngx_http_request_t *request() const noexcept
    {
        return request_part_ == nullptr ? nullptr : request_part_->request;
    }
    std::string_view uri() const noexcept;
    std::string_view args() const noexcept;
    // Empty once the request is released. See variable_reader for the lifetime
    // of the text.
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

    // For the worker's flush list. Returns the number of bytes sent.
    std::size_t flush_posted() noexcept;
    void set_flush_index(flush_list::index to) noexcept { flush_index_ = to; }

    // Prefetch into the processor's cache what flush_posted() reads.
    void prefetch() const noexcept;
    void prefetch_connection() const noexcept;

    // Returns the session of a link in the worker's list.
    static session *from_link(ngx_queue_t *queue) noexcept
    {
        return reinterpret_cast<session *>(
            reinterpret_cast<std::byte *>(queue) - link_offset);
    }

private:
    using phase = session_phase;

    // The offset of link_, the same in all sessions. Set by the first one.
    static inline std::ptrdiff_t link_offset;

    using request_part = session_request_part;

    session(ngx_http_request_t *r, request_part &part, resource &target,
            const negotiated_options &negotiated) noexcept;
    ~session() = default;
    static void *allocate(ngx_http_request_t *r) noexcept;
    void destroy() noexcept;

    static void on_read(ngx_event_t *event);
    static void on_write(ngx_event_t *event);
    static void on_shared_event(ngx_event_t *event);
    static void on_tls_shut(ngx_connection_t *c);
    static void on_start(ngx_event_t *event);
    static void on_connected(ngx_event_t *event);
    static void on_request_event(ngx_http_request_t *r);
    static void on_request_cleanup(void *data);
    static void on_pool_cleanup(void *data);
    static u_char *on_log(ngx_log_t *log, u_char *buffer, std::size_t size);

    const char *log_action() const noexcept
    {
        return negotiated_.event_stream ? "serving event stream"
                                        : "serving WebSocket";
    }
    void install_handlers() noexcept;
    void start() noexcept;
    void join() noexcept;
    void wait_for_hosts() noexcept; // waiting.cpp, as the next two
    void read_waiting_client() noexcept;
    void end_waiting(resource &left) noexcept;
    void take_over_connection() noexcept;
    void adopt_unsent_header() noexcept;
    bool prepare_shared_connection(ngx_http_request_t *r) noexcept;
    void begin_event_stream() noexcept;
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
    void read_event_client() noexcept;
    phase phase_after_close() const noexcept;
    bool count_dropped(std::size_t size) noexcept;
    bool has_unread_input() noexcept;

    // receive.cpp
    std::span<std::byte> process(std::span<std::byte> input) noexcept;
    bool accepts_frames() const noexcept;
    std::span<std::byte> process_frames(std::span<std::byte> input) noexcept;
    bool process_whole_messages(std::span<std::byte> &input) noexcept;
    void dispatch(const protocol::event &received) noexcept;
    void answer_control_frames() noexcept;
    bool check_rate_limit() noexcept;
    bool is_solicited_pong() noexcept;
    void dispatch_message(protocol::opcode kind,
                          const payload_ref &payload) noexcept;
    void check_message(const protocol::event &frame) noexcept;
    void dispatch_pong(const protocol::event &received) noexcept;

    // send.cpp
    int check_can_send() noexcept;
    bool accepts_deliveries() const noexcept;
    std::size_t queue_limit() const noexcept;
    int send_now(protocol::opcode kind,
                 std::span<const std::byte> payload) noexcept;
    int send_now(const shared_frame &frame) noexcept;
    bool is_valid_text(std::span<const std::byte> payload) const noexcept;
    int check_send_queue() noexcept;
    int send_encoded(protocol::opcode kind,
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
    bool close_if_token_ended() noexcept;
    std::uint64_t time_to_token_end() const noexcept;

    // closing.cpp
    void write_close(const protocol::control_frame &frame) noexcept;
    void start_closing(const protocol::control_frame &frame,
                       phase next) noexcept;
    void close_immediately(std::uint16_t code, std::string_view reason,
                           close_initiator initiator) noexcept;
    void fail(const protocol::event &failure) noexcept;
    void set_close_deadline(ngx_msec_t timeout) noexcept;
    ngx_msec_t remaining_for_close(ngx_msec_t left) const noexcept;
    void on_close_timeout() noexcept;
    void on_send_timeout() noexcept;
    void on_connection_error() noexcept;
    void record_close(std::uint16_t code, std::string_view reason,
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
    void log_close() noexcept;

    // compression.cpp
    bool should_compress(std::size_t size) const noexcept
    {
        return negotiated_.deflate.agreed && size >= conf_.deflate_min_length;
    }
    bool may_compress(std::size_t work) const noexcept;
    protocol::shared_buffer
    compress(protocol::opcode kind,
             std::span<const std::byte> payload) noexcept;
    protocol::shared_buffer compress(const shared_frame &frame) noexcept;

    ngx_connection_t *connection_;
    const location_configuration &conf_;
    protocol::endpoint endpoint_;
    frame_writer writer_;
    session_counters counters_;
    ngx_queue_t link_{};
    postponed_list postponed_;
    resource *resource_;     // null after leave_resource()
    void *client_ = nullptr; // the handler's client object
    std::unique_ptr<subscription_set> subscriptions_;

    negotiated_options negotiated_;
    std::unique_ptr<identity> identity_; // null: nobody
    protocol::deflater deflater_; // of context takeover, from its first use
    close_record closed_;
    request_part *request_part_; // null once the request is released
    std::unique_ptr<const saved_request> saved_; // set from then on

    protocol::shared_buffer rest_; // input that is not processed yet
    protocol::rate_limiter rate_limiter_;
    ngx_msec_t started_ = 0;
    // The deadline of the closing handshake, or the close time of a shutdown
    ngx_msec_t end_at_ = 0;

    timestamp last_received_;
    timestamp last_sent_;
    timestamp last_ping_;
    std::uint32_t rest_begin_ = 0; // processed bytes of rest_
    flush_list::index flush_index_ = flush_list::npos;
    std::uint32_t dropped_input_ = 0; // bytes received after a Close
    phase phase_ = phase::created;
    phase postponed_phase_ = phase::closing; // after close_postponed
    std::uint16_t unanswered_pings_ = 0;
    bool first_turn_ : 1 = true;
    bool in_turn_ : 1 = false;
    bool listed_ : 1 = false;           // the resource has it in a list
    bool client_connected_ : 1 = false; // client_connected() was called
    bool backpressured_ : 1 = false;    // data waited since client_drained()
    bool peer_finished_ : 1 = false;    // the client has ended its side
    bool sends_after_close_ : 1 = false;
    bool shutting_down_ : 1 = false;
    bool protocol_broken_ : 1 = false; // no Close may come from the client
    bool has_published_ : 1 = false;   // the client has published a message
    bool input_held_ : 1 = false;      // see hold_input()
    bool ends_turns_ : 1 = false;      // end_turn() was called
};

} // namespace websocket::nginx
