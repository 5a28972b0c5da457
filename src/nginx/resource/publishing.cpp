// Publishes messages of a resource: to its log or, with Redis, to all hosts.
#include "nginx/core/log_line.hpp"
#include "nginx/resource/resource.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/core/configuration.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/resource/message_user.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "protocol/text/utf8.hpp"

#include <memory>
#include <new>

namespace websocket::nginx {

namespace {

// Rate-limited, since clients may be able to provoke it.
void log_not_utf8(const resource &publisher) noexcept
{
    static log_throttle line;

    if (log_permit permit = line.allows(); permit) {
        write_log(
            NGX_LOG_INFO, ngx_cycle->log,
            "websocket: %V \"%V\" published text that is not valid UTF-8: "
            "message dropped%V",
            publisher.handler().name, publisher.name(), permit.suppressed());
    }
}

// A message on its way to Redis, and the callback for its result.
struct publish_call {
    resource *publisher; // null: may be destroyed before the result
    resource::publish_callback on_result;
    void *data;
    bool is_event;
};

void ignore_result(void *, int, websocket_message_id_t) noexcept
{}

// An event, without a publisher that waits for the result.
bool is_event(const broker::publication &message,
              resource::publish_callback on_result) noexcept
{
    return message.transient && on_result == ignore_result;
}

// The event may have been that a client joined or left. So all hosts compare
// the number of clients with the one that they have sent last.
void replace_event(const resource &publisher) noexcept
{
    backplane::clients_changed(publisher.log_name(), true);
}

void finish_publish_call(void *data, const publish_outcome &outcome) noexcept
{
    const std::unique_ptr<publish_call> call(static_cast<publish_call *>(data));

    call->on_result(call->data,
                    outcome.done ? WEBSOCKET_QUEUED : WEBSOCKET_UNREACHABLE,
                    {outcome.id.epoch, outcome.id.sequence});

    if (call->publisher != nullptr) {
        if (call->is_event && !outcome.done) {
            replace_event(*call->publisher);
        }
        call->publisher->release();
    }
}

} // namespace

void resource::log_no_memory(std::size_t size) const noexcept
{
    static log_throttle line;

    log_permit permit = line.allows();

    if (!permit) {
        return;
    }

    const bool fits = worker_bus::running() && worker_bus::broker().fits(size);

    write_log(NGX_LOG_ERR, ngx_cycle->log,
              "websocket: no memory for %uz bytes of %V \"%V\" in "
              "websocket_shared_memory%V%V",
              size, handler_.name, name_,
              unquoted{fits ? ""
                            : ": larger than websocket_room_memory, or half "
                              "of it"},
              permit.suppressed());
}

int resource::publish(const broker::publication &message, std::string_view user,
                      broker::message_id &id) noexcept
{
    if (message.kind == WEBSOCKET_TEXT &&
        !protocol::is_valid_utf8(message.payload)) {
        log_not_utf8(*this);
        return WEBSOCKET_INVALID;
    }

    const stored_publication stored(message, user);

    if (!stored) {
        return WEBSOCKET_DROPPED;
    }

    if (backplane::enabled() && !config_check_) {
        id = {};
        return publish_to_hosts(stored.get(), ignore_result, nullptr, 0);
    }

    const broker::append_result entry = append(stored.get());

    id = entry.id;
    return entry.result == broker::outcome::done ? WEBSOCKET_QUEUED
                                                 : WEBSOCKET_DROPPED;
}

void resource::publish(const broker::publication &message,
                       std::string_view user, publish_callback on_result,
                       void *data, std::size_t callback_bytes) noexcept
{
    broker::message_id id;

    // A resource in construction or destruction cannot wait for a result
    if (!backplane::enabled() || config_check_ || !constructed_) {
        const int result = publish(message, user, id);
        on_result(data, result, {id.epoch, id.sequence});
        return;
    }

    if (message.kind == WEBSOCKET_TEXT &&
        !protocol::is_valid_utf8(message.payload)) {
        log_not_utf8(*this);
        on_result(data, WEBSOCKET_INVALID, {});
        return;
    }

    const stored_publication stored(message, user);

    if (const int result = stored ? publish_to_hosts(stored.get(), on_result,
                                                     data, callback_bytes)
                                  : WEBSOCKET_DROPPED;
        result != WEBSOCKET_QUEUED) {
        on_result(data, result, {});
    }
}

// Calls `on_result` only if it returns WEBSOCKET_QUEUED.
int resource::publish_to_hosts(const broker::publication &message,
                               publish_callback on_result, void *data,
                               std::size_t callback_bytes) noexcept
{
    // Redis would assign an id, and no host could store the message
    if (worker_bus::running() &&
        !worker_bus::broker().fits(message.payload.size())) {
        log_no_memory(message.payload.size());
        return WEBSOCKET_DROPPED;
    }

    const bool event = is_event(message, on_result);
    auto call = std::unique_ptr<publish_call>(new (std::nothrow) publish_call{
        constructed_ ? this : nullptr, on_result, data, event});

    if (!call) {
        return WEBSOCKET_DROPPED;
    }

    if (!backplane::publish({.kind = message.transient ? publish_kind::transient
                                                       : publish_kind::stored,
                             .name = log_name_,
                             .what = message,
                             .history = history_,
                             .callback_bytes = callback_bytes,
                             .may_be_late = event,
                             .on_result = finish_publish_call,
                             .data = call.get()})) {
        if (event) {
            replace_event(*this);
        }
        return WEBSOCKET_UNREACHABLE;
    }

    publications++;
    last_publisher = this;

    // The callback runs after this function returns
    if (call.release()->publisher != nullptr) {
        retain();
    }

    return WEBSOCKET_QUEUED;
}

broker::append_result
resource::append(const broker::publication &message) noexcept
{
    if (config_check_ || !worker_bus::running()) {
        return {};
    }

    const broker::append_result entry =
        subscription_ ? worker_bus::broker().append(subscription_, message,
                                                    worker_bus::now())
                      : worker_bus::broker().append(log_name_, message,
                                                    history_request(settings_),
                                                    worker_bus::now());

    if (entry.result != broker::outcome::done) {
        log_no_memory(message.payload.size());
        return entry;
    }

    worker_bus::log_dropped(log_name_, entry);
    publications++;
    last_publisher = this;

    if (subscription_) {
        count_own_publication(message, entry.position);
    }

    worker_bus::wake(entry.wake);
    return entry;
}

// Once the undelivered messages of this worker exceed a quarter of
// websocket_room_memory, later ones could evict some of them: see congested().
void resource::count_own_publication(const broker::publication &message,
                                     std::uint64_t position) noexcept
{
    constexpr std::size_t overhead = 192; // bytes of an entry, with rounding

    published_ = position;
    undelivered_size_ += message.payload.size() + overhead;

    if (undelivered_size_ > main_conf_of(*ngx_cycle).room_memory / 4) {
        congested_until_ = position;
        undelivered_size_ = 0;
    }
}

void resource::reset_own_publications() noexcept
{
    published_ = 0;
    congested_until_ = 0;
    undelivered_size_ = 0;
}

} // namespace websocket::nginx
