// Sends the connect event of a handshake, and refuses or accepts the handshake
// with the answer.
#include "nginx/backend/connect.hpp"

#include "nginx/core/configuration.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/request/refusal.hpp"
#include "nginx/workers/counters.hpp"

#include <new>
#include <utility>

namespace websocket::nginx::backend {

namespace {

constexpr std::string_view no_memory = "websocket_shared_memory is full";

ngx_str_t copy_text(ngx_pool_t *pool, std::string_view text) noexcept
{
    ngx_str_t source = borrowed(text);

    return {text.size(), ngx_pstrdup(pool, &source)};
}

bool add_copied_header(ngx_http_request_t *r,
                       const answer::field &field) noexcept
{
    const ngx_str_t name = copy_text(r->pool, field.name);
    const ngx_str_t value = copy_text(r->pool, field.value);

    return name.data != nullptr && value.data != nullptr &&
           add_header(r, view(name), view(value));
}

// The others are for this module.
bool is_for_client(const answer::field &field) noexcept
{
    constexpr std::string_view prefix = "WebSocket-";

    return !is_same_name(std::string_view(field.name).substr(0, prefix.size()),
                         prefix);
}

ngx_int_t send_body(ngx_http_request_t *r, std::string_view body) noexcept
{
    auto *buffer = static_cast<ngx_buf_t *>(ngx_calloc_buf(r->pool));
    const ngx_str_t copy = copy_text(r->pool, body);

    if (buffer == nullptr || copy.data == nullptr) {
        return NGX_ERROR;
    }

    buffer->pos = copy.data;
    buffer->last = copy.data + copy.len;
    buffer->memory = copy.len != 0 ? 1 : 0;
    buffer->last_buf = 1;
    buffer->last_in_chain = 1;

    ngx_chain_t out{buffer, nullptr};

    return ngx_http_output_filter(r, &out);
}

// Sends the backend's refusal to the client. Returns the value with which to
// finalize the request.
ngx_int_t send_refusal(ngx_http_request_t *r, const answer &got) noexcept
{
    auto &out = r->headers_out;
    const ngx_str_t type = copy_text(r->pool, got.content_type);

    counters::handshake_refused(got.status);
    write_log(NGX_LOG_INFO, r->connection->log,
              "websocket: handshake refused with %ui: the backend refused it",
              got.status);

    out.status = got.status;
    out.content_length_n = static_cast<off_t>(got.body.size());

    if (type.data == nullptr) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (type.len != 0) {
        out.content_type = type;
        out.content_type_len =
            view(type).substr(0, view(type).find(';')).size();
    }

    for (const answer::field &field : got.fields) {
        if (is_for_client(field) && !add_copied_header(r, field)) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    const ngx_int_t rc = ngx_http_send_header(r);

    return rc == NGX_ERROR || rc > NGX_OK || r->header_only
               ? rc
               : send_body(r, got.body);
}

ngx_int_t reject_client(ngx_http_request_t *r, const answer &got) noexcept
{
    if (got.result == answer::outcome::whole && got.status >= 300 &&
        got.status <= 599) {
        return send_refusal(r, got);
    }

    if (got.result == answer::outcome::timed_out) {
        return reject_handshake(r, NGX_HTTP_GATEWAY_TIME_OUT,
                                "the backend does not answer in time");
    }

    return got.result == answer::outcome::no_memory
               ? reject_handshake(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                  "no memory or no free connection for the "
                                  "connect event")
               : reject_handshake(r, NGX_HTTP_BAD_GATEWAY,
                                  "the backend gives no valid answer");
}

// Ends with the request, or when the session takes the client over.
class connect_wait final : connect_listener {
public:
    connect_wait(ngx_http_request_t *r, client *created,
                 accepted_callback callback) noexcept
        : request_{r}, location_{&created->configuration()}, client_{created},
          callback_{callback}
    {}

    ~connect_wait()
    {
        if (client_ != nullptr) {
            client_->abandon();
        }
    }

    // The last one of all locations that the request has passed.
    static connect_wait *last_of(ngx_http_request_t *r) noexcept
    {
        for (auto *at = r->cleanup; at != nullptr; at = at->next) {
            if (at->handler == on_request_cleanup) {
                return static_cast<connect_wait *>(at->data);
            }
        }

        return nullptr;
    }

    // Null, if the answer was for a location that error_page has left.
    static connect_wait *of(ngx_http_request_t *r) noexcept
    {
        connect_wait *found = last_of(r);

        return found != nullptr && found->location_ ==
                                       location_conf<location_configuration>(r)
                   ? found
                   : nullptr;
    }

    bool start(ngx_http_cleanup_t &cleanup) noexcept
    {
        cleanup_ = &cleanup;
        cleanup.handler = on_request_cleanup;
        cleanup.data = this;
        return client_->ask(*this, request_->connection);
    }

    // The client and the answer end.
    void refuse() noexcept
    {
        accepted_ = false;
        answer_ = {};

        if (client_ != nullptr) {
            take()->abandon();
        }
    }

    bool accepted() const noexcept { return accepted_; }
    const answer &got() const noexcept { return answer_; }

    client *take() noexcept { return std::exchange(client_, nullptr); }

    void end() noexcept
    {
        if (cleanup_ != nullptr) {
            cleanup_->handler = nullptr;
        }

        delete this;
    }

private:
    static void on_request_cleanup(void *data)
    {
        delete static_cast<connect_wait *>(data);
    }

    // The request, and this object with it, may be freed on return.
    void on_connect_answer(answer &&got) noexcept override
    {
        ngx_http_request_t *r = request_;
        ngx_connection_t *c = r->connection;
        ngx_int_t rc;

        answer_ = std::move(got);
        accepted_ = answer_.accepts();

        // After a refusal a disconnect may follow. Another handshake on this
        // connection would have the same id.
        if (answer_.may_accept()) {
            r->keepalive = 0;
        }

        if (!accepted_) {
            rc = reject_client(r, answer_);
        } else if (!client_->accept(answer_)) {
            accepted_ = false;
            rc = reject_handshake(r, NGX_HTTP_BAD_GATEWAY,
                                  "the backend's answer is not valid");
        } else {
            rc = callback_(r); // may delete this object
        }

        ngx_http_finalize_request(r, end_refused(r, rc));
        ngx_http_run_posted_requests(c);
    }

    ngx_http_request_t *request_;
    const location_configuration *location_;
    client *client_;
    accepted_callback callback_;
    ngx_http_cleanup_t *cleanup_ = nullptr;
    answer answer_;
    bool accepted_ = false;
};

// The client of an earlier location may still have to disconnect.
void renew_id(ngx_connection_t *c) noexcept
{
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->log->connection = c->number;
}

} // namespace

ngx_int_t ask(ngx_http_request_t *r, std::string_view key,
              accepted_callback callback) noexcept
try {
    const auto &conf = *location_conf<location_configuration>(r);

    if (conf.backend == nullptr || !conf.backend->sends(event_kind::connect)) {
        return NGX_DECLINED;
    }

    if (connect_wait::last_of(r) != nullptr) {
        renew_id(r->connection);
    }

    ngx_http_cleanup_t *cleanup = ngx_http_cleanup_add(r, 0);

    if (cleanup == nullptr) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    auto *created = new client(r, key);
    auto *wait = new (std::nothrow) connect_wait(r, created, callback);

    if (wait == nullptr) {
        created->abandon();
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!created->leave_note()) {
        wait->end();
        return reject_handshake(r, NGX_HTTP_SERVICE_UNAVAILABLE, no_memory);
    }

    if (!wait->start(*cleanup)) {
        wait->end();
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
    r->main->count++;
    return NGX_DONE;

} catch (const std::bad_alloc &) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}

ngx_int_t end_refused(ngx_http_request_t *r, ngx_int_t rc) noexcept
{
    connect_wait *wait = rc == NGX_DONE ? nullptr : connect_wait::of(r);

    if (wait != nullptr) {
        wait->refuse();
    }

    return rc;
}

bool has_accepted(ngx_http_request_t *r) noexcept
{
    const connect_wait *wait = connect_wait::of(r);

    return wait != nullptr && wait->accepted();
}

namespace {

std::optional<std::string_view> answered_field(ngx_http_request_t *r,
                                               std::string_view name) noexcept
{
    const connect_wait *wait = connect_wait::of(r);
    const answer::field *found =
        wait == nullptr ? nullptr : wait->got().find(name);

    return found == nullptr ? std::nullopt
                            : std::optional<std::string_view>(found->value);
}

} // namespace

std::optional<std::string_view>
chosen_subprotocol(ngx_http_request_t *r) noexcept
{
    return answered_field(r, "WebSocket-Protocol");
}

std::optional<std::string_view> chosen_user(ngx_http_request_t *r) noexcept
{
    return answered_field(r, "WebSocket-User");
}

bool add_answer_fields(ngx_http_request_t *r) noexcept
{
    connect_wait *wait = connect_wait::of(r);

    if (wait == nullptr) {
        return true;
    }

    for (const answer::field &field : wait->got().fields) {
        if (is_same_name(field.name, "Set-Cookie") &&
            !add_copied_header(r, field)) {
            return false;
        }
    }

    wait->end(); // the answer is not needed any more
    return true;
}

client *take_client(ngx_http_request_t *r, std::string_view key) noexcept
try {
    connect_wait *wait = connect_wait::of(r);

    if (wait != nullptr) {
        return wait->take();
    }

    auto *created = new client(r, key);

    if (!created->leave_note()) {
        created->abandon();
        return nullptr;
    }

    return created;

} catch (const std::bad_alloc &) {
    return nullptr;
}

} // namespace websocket::nginx::backend
