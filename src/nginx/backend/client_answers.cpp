// Applies what a backend answers to the events of a client.
#include "nginx/backend/client.hpp"

#include "nginx/events/answer_text.hpp"
#include "nginx/identity/identity.hpp"
#include "nginx/kept_clients/client_register.hpp"
#include "nginx/session/session.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "protocol/frames/close_code.hpp"
#include "protocol/text/utf8.hpp"

#include <new>
#include <utility>

namespace websocket::nginx::backend {

namespace {

constexpr std::size_t max_state = 4096;

bool is_binary(const answer &got) noexcept
{
    return is_binary_type(got.content_type);
}

bool is_text(std::string_view body) noexcept
{
    return protocol::is_valid_utf8(std::as_bytes(std::span(body)));
}

} // namespace

bool client::accept(answer &got) noexcept
try {
    const char *problem = set_user(got);

    if (problem == nullptr) {
        problem = set_state(got);
    }

    if (problem == nullptr && !is_binary(got) && !is_text(got.body)) {
        problem = "the first message is not valid UTF-8";
    }

    if (problem != nullptr) {
        log_failure(event_kind::connect, got, problem);
        return false;
    }

    if (!got.body.empty()) {
        text_ = std::make_unique<std::string>(std::move(got.body));
        first_is_binary_ = is_binary(got);
    }

    return true;

} catch (const std::bad_alloc &) {
    log_failure(event_kind::connect, got, "no memory");
    return false;
}

void client::on_message_answer(answer &got) noexcept
{
    const char *problem = got.accepts() ? apply(got) : nullptr;
    const bool failed = problem != nullptr || !got.accepts();

    if (failed) {
        log_failure(event_kind::message, got, problem);
    }

    if (session_ == nullptr) {
        finish();
        return;
    }

    if (failed && by().closes_on_error) {
        session_->close(protocol::close_code::internal_error, "backend failed",
                        close_initiator::error);
    }

    session_->release_input();
}

// Returns what is wrong with the answer to a message, or null.
const char *client::apply(answer &got) noexcept
try {
    if (const char *problem = set_state(got); problem != nullptr) {
        return problem;
    }

    if (session_ == nullptr) {
        return nullptr;
    }

    if (!got.body.empty() && got.status != NGX_HTTP_NO_CONTENT &&
        send(is_binary(got), got.body) == WEBSOCKET_INVALID) {
        return "the reply is not valid UTF-8";
    }

    const answer::field *close = got.find("WebSocket-Close");

    if (close == nullptr) {
        return nullptr;
    }

    const auto order = parse_close_order(close->value);

    if (!order) {
        return "WebSocket-Close has no valid code";
    }

    session_->close(order->code, order->reason, close_initiator::server);
    return nullptr;

} catch (const std::bad_alloc &) {
    return "no memory";
}

// Throws std::bad_alloc. Returns what is wrong, or null.
const char *client::set_user(const answer &got)
{
    const answer::field *user = got.find("WebSocket-User");

    if (user == nullptr) {
        return nullptr;
    }

    if (const char *problem = user_error(user->value); problem != nullptr) {
        return problem;
    }

    record_.set_user(user->value);

    // The note has the user too
    if (note_) {
        const broker::note replaced = note_;

        note_ = worker_bus::broker().add_note(worker_bus::slot(), by().id,
                                              record_.serialize(),
                                              worker_bus::now());
        if (!note_) {
            note_ = replaced;
            return "websocket_shared_memory is full";
        }

        worker_bus::broker().remove_note(replaced);
        client_register::instance().update(record_.id());
    }

    return nullptr;
}

// Throws std::bad_alloc. Returns what is wrong, or null.
const char *client::set_state(const answer &got)
{
    const answer::field *state = got.find("WebSocket-State");

    if (state == nullptr) {
        return nullptr;
    }

    if (state->value.size() > max_state) {
        return "WebSocket-State is longer than 4096 bytes";
    }

    if (state->value == (state_ ? std::string_view(*state_) : "")) {
        return nullptr; // a write to Redis would have the whole record
    }

    std::unique_ptr<std::string> copy = copy_of(state->value);

    if (note_ && !worker_bus::broker().set_note_state(note_, state->value,
                                                      worker_bus::now())) {
        return "websocket_shared_memory is full";
    }

    state_ = std::move(copy);

    if (note_) {
        client_register::instance().update(record_.id());
    }

    return nullptr;
}

int client::send(bool binary, std::string_view body) noexcept
{
    return session_->send(binary ? protocol::opcode::binary
                                 : protocol::opcode::text,
                          std::as_bytes(std::span(body)));
}

} // namespace websocket::nginx::backend
