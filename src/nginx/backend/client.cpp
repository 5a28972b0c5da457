// Sends the events of a client in their order.
#include "nginx/backend/client.hpp"

#include "nginx/kept_clients/client_register.hpp"
#include "nginx/backend/event_failure.hpp"
#include "nginx/backend/event_queue.hpp"
#include "nginx/backend/pending_event.hpp"
#include "nginx/session/session.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "protocol/frames/close_code.hpp"
#include "redis/client_entry.hpp"

#include <new>

namespace websocket::nginx::backend {

namespace {

std::string_view text_in(const std::unique_ptr<std::string> &text) noexcept
{
    return text ? std::string_view(*text) : std::string_view{};
}

} // namespace

std::unique_ptr<std::string> client::copy_of(std::string_view text)
{
    std::unique_ptr<std::string> copy;

    if (!text.empty()) {
        copy = std::make_unique<std::string>(text);
    }

    return copy;
}

client::client(ngx_http_request_t *r, std::string_view key)
    : conf_{*location_conf<location_configuration>(r)},
      record_{r, session::id_of(r->connection), key},
      close_code_{protocol::close_code::abnormal}
{
    conf_.backend->log =
        static_cast<ngx_http_core_loc_conf_t *>(
            ngx_http_get_module_loc_conf(r, ngx_http_core_module))
            ->error_log;
}

client::client(const location_configuration &conf,
               const broker::found_note &found)
    : conf_{conf}, state_{copy_of(found.state)}, record_{found.text},
      note_{found.handle}, sequence_{static_cast<std::uint32_t>(
                               found.sequence)},
      close_code_{found.code != 0 ? found.code
                                  : protocol::close_code::abnormal},
      accepted_{true}
{}

client::~client()
{
    if (note_ && worker_bus::running() &&
        !client_register::instance().forget(record_.id(), by().id, note_)) {
        worker_bus::broker().remove_note(note_);
    }
}

bool client::leave_note() noexcept
try {
    if (!by().sends(event_kind::disconnect)) {
        return true;
    }

    if (worker_bus::running()) {
        note_ = worker_bus::broker().add_note(worker_bus::slot(), by().id,
                                              record_.serialize(),
                                              worker_bus::now());
    }

    if (note_) {
        client_register::instance().keep(*this, record_.id(), by().id);
    }

    return static_cast<bool>(note_);

} catch (const std::bad_alloc &) {
    return false;
}

bool client::enqueue(const event_data &event, ngx_connection_t *c,
                     connect_listener *listener) noexcept
{
    event_queue *queue = event_queue::of(*conf_.backend);

    pending_ = queue == nullptr ? nullptr
                                : new (std::nothrow)
                                      pending_event(*this, event, c, listener);

    if (pending_ == nullptr) {
        return false;
    }

    queue->add(*pending_);
    return true;
}

bool client::ask(connect_listener &listener, ngx_connection_t *c) noexcept
{
    return enqueue({.kind = event_kind::connect}, c, &listener);
}

void client::abandon() noexcept
{
    detach();
}

int client::begin() noexcept
{
    accepted_ = true; // also without a connect event
    begun_ = true;

    if (lost_) {
        close_lost();
        return 0;
    }

    if (text_) {
        (void)send(first_is_binary_, *text_);
        text_.reset();
    }

    return 0;
}

int client::receive(bool binary, std::span<const std::byte> payload) noexcept
{
    event_data event{.kind = event_kind::message,
                     .binary = binary,
                     .state = text_in(state_),
                     .sequence = sequence_ + 1};

    if (!by().sends(event_kind::message)) {
        session_->close(protocol::close_code::unsupported_data,
                        "no messages are accepted here",
                        close_initiator::server);
        return 0;
    }

    if (!payload.empty()) {
        event.payload = protocol::shared_buffer::allocate(payload.size());

        if (!event.payload) {
            return 1;
        }

        event.payload.append(payload);
    }

    session_->hold_input();
    sequence_++;

    if (note_) {
        worker_bus::broker().count_note(note_, sequence_);
        client_register::instance().count(record_.id(), sequence_);
    }

    return enqueue(event, session_->connection()) ? 0 : 1;
}

void client::end(std::uint16_t code, std::string_view reason) noexcept
try {
    close_code_ = code;

    if (note_) {
        worker_bus::broker().end_note(note_, code);
    }

    text_ = copy_of(reason);
} catch (const std::bad_alloc &) {
    // The event has the code alone
}

void client::lose() noexcept
{
    lost_ = true;

    if (note_ && worker_bus::running()) {
        worker_bus::broker().remove_note(note_);
    }

    note_ = {};

    if (begun_ && session_ != nullptr) {
        close_lost();

    } else if (pending_ != nullptr &&
               pending_->withdraw(event_kind::disconnect)) {
        delete this;
    }
}

void client::close_lost() noexcept
{
    session_->close(protocol::close_code::service_restart, "this host was away",
                    close_initiator::server);
}

std::string client::entry(std::uint64_t sequence) const
{
    return redis::format_client_entry({.sequence = sequence,
                                       .state = text_in(state_),
                                       .record = record_.serialize()});
}

void client::detach() noexcept
{
    session_ = nullptr;

    if (!begun_) {
        text_.reset(); // the first message is not the reason of the end
    }

    // The backend need not know a client that left before its turn
    if (pending_ != nullptr && pending_->withdraw(event_kind::connect)) {
        pending_ = nullptr;
    }

    if (pending_ != nullptr) {
        pending_->forget_connection();
    } else {
        finish();
    }
}

// The last event of a client whose session has gone. Nothing else is out.
void client::finish() noexcept
{
    const bool follows =
        accepted_ && !lost_ && by().sends(event_kind::disconnect);

    accepted_ = false;

    if (follows && enqueue({.kind = event_kind::disconnect,
                            .state = text_in(state_),
                            .sequence = std::uint64_t{sequence_} + 1,
                            .close_code = close_code_,
                            .close_reason = text_in(text_)},
                           nullptr)) {
        return;
    }

    if (follows) {
        leave_to_others();
    }

    delete this;
}

// Without memory: a worker that has some sends the disconnect event, also this
// one.
void client::leave_to_others() noexcept
{
    if (note_ && worker_bus::running()) {
        client_register::instance().abandon(record_.id());
        worker_bus::broker().abandon_note(note_, worker_bus::now());
        note_ = {};
    }
}

void client::log_failure(event_kind kind, const answer &got,
                         const char *problem) const noexcept
{
    report({kind, record_.id(), problem}, got,
           by().log != nullptr ? by().log : ngx_cycle->log);
}

void client::on_answered(event_kind kind, answer &got,
                         connect_listener *listener) noexcept
{
    pending_ = nullptr;

    switch (kind) {
    case event_kind::connect: {
        accepted_ = got.may_accept();

        if (got.result != answer::outcome::whole || got.status >= 500) {
            log_failure(kind, got, nullptr);
        }

        if (listener != nullptr) {
            listener->on_connect_answer(std::move(got));
        } else {
            finish();
        }
        return;
    }

    case event_kind::message:
        on_message_answer(got);
        return;

    case event_kind::disconnect:
        if (!got.accepts()) {
            log_failure(kind, got, nullptr);
        }
        delete this;
    }
}

} // namespace websocket::nginx::backend
