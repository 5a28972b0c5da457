// One event of a client as a request of nginx: to the location that the
// parameter `pass` names, through all phases, and with a whole answer.
#pragma once

#include "nginx/events/answer.hpp"
#include "nginx/events/client_record.hpp"
#include "nginx/events/settings.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "protocol/frames/shared_buffer.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace websocket::nginx::backend {

class event_request;

// An event as it is sent.
struct event_data {
    event_kind kind;
    bool binary = false;               // the payload of a message
    protocol::shared_buffer payload{}; // empty reference: none
    std::string_view state{}; // this and the reason must live until the answer
    std::uint64_t sequence = 0;
    std::uint16_t close_code = 0; // of a disconnect
    std::string_view close_reason{};
};

// Gets the answer, later than start() returns. The request has ended.
class answer_receiver {
public:
    virtual void on_answer(answer &&got) noexcept = 0;

protected:
    ~answer_receiver() = default;
};

// The queue is the list of all whose requests have not ended.
class event_request : ngx_http_connection_t, ngx_queue_t {
public:
    // Sends an event. `to`, `from` and `by` must live until the answer. The
    // TLS connection, whose variables the location may use, may be null.
    // Returns null without memory or a free connection.
    static event_request *start(answer_receiver &to, const client_record &from,
                                const settings &by, const event_data &event,
                                std::size_t max_body,
                                ngx_ssl_connection_t *tls) noexcept;

    // At the end of the process: ends all requests, and reports no answers.
    static void end_all() noexcept;

    // Must be called before the TLS connection ends.
    void forget_tls() noexcept;

    // The event that a request, or the main one of a subrequest, was made for;
    // null: another request.
    static event_request *of(ngx_http_request_t *r) noexcept;

    event_request(const event_request &) = delete;
    event_request &operator=(const event_request &) = delete;

    event_kind kind() const noexcept { return kind_; }
    std::uint64_t client() const noexcept { return record_.id(); }
    std::string_view key() const noexcept
    {
        return record_.get(client_record::text::key);
    }

    std::string_view user() const noexcept { return record_.user(); }

    // For the filters of responses.
    // Both return NGX_OK, or NGX_ERROR to end the request.
    ngx_int_t read_header(ngx_http_request_t *r) noexcept;
    ngx_int_t read_body(ngx_chain_t *in) noexcept;

private:
    event_request(answer_receiver &to, const client_record &from,
                  const settings &by, const event_data &event,
                  std::size_t max_body) noexcept;

    bool create(const event_data &event, ngx_ssl_connection_t *tls) noexcept;
    void run() noexcept;
    ngx_queue_t *link() noexcept { return this; }
    void end() noexcept;
    void append(const ngx_buf_t &buffer);

    static void on_read(ngx_event_t *event);
    static void on_write(ngx_event_t *event);
    static void on_timeout(ngx_event_t *event);
    static void on_ended(ngx_event_t *event);
    static void on_pool_cleanup(void *data);
    static u_char *on_log(ngx_log_t *log, u_char *buffer, std::size_t size);

    answer_receiver &receiver_;
    const client_record &record_;
    const settings &settings_;
    std::size_t max_body_;
    event_kind kind_;
    protocol::shared_buffer payload_;
    ngx_connection_t *connection_ = nullptr;
    ngx_http_request_t *request_ = nullptr; // null once it has ended
    ngx_http_log_ctx_t log_context_{};
    ngx_buf_t no_input_{};
    ngx_event_t timer_{};
    ngx_event_t ended_{};
    answer answer_;
};

} // namespace websocket::nginx::backend
