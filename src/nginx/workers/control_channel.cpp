// Sends and receives the control events of workers.
#include "nginx/workers/control_channel.hpp"

#include "nginx/core/log_line.hpp"
#include "nginx/workers/read_buffer.hpp"

#include <algorithm>

namespace websocket::nginx {

namespace {

// Each message is at most a log's name, which fits.
read_buffer<8> control_buffer;

} // namespace

std::string worker_log(unsigned slot)
{
    return ":worker:" + std::to_string(slot);
}

void send_control(std::string_view log, control_event event, std::uint64_t from,
                  std::string_view name) noexcept
{
    const broker::append_result result =
        worker_bus::broker().append(log,
                                    {.payload = std::as_bytes(std::span(name)),
                                     .from = from,
                                     .time = worker_bus::now(),
                                     .kind = static_cast<std::uint8_t>(event),
                                     .transient = true},
                                    {}, worker_bus::now());

    worker_bus::wake(result.wake);

    if (result.result == broker::outcome::no_memory &&
        worker_bus::zone().full_log.allows()) {
        write_log(NGX_LOG_WARN, ngx_cycle->log,
                  "websocket: websocket_shared_memory is full: a control event "
                  "between workers was lost; handshakes that wait for Redis "
                  "may time out");
    }
}

bool control_reader::subscribe(std::string_view log) noexcept
{
    const broker::subscribed subscribed = worker_bus::broker().subscribe(
        worker_bus::slot(), log, static_cast<subscriber *>(this), {},
        worker_bus::now());

    subscription_ = subscribed.handle;
    return subscribed.result == broker::outcome::done;
}

void control_reader::stop() noexcept
{
    if (subscription_ && worker_bus::running()) {
        worker_bus::broker().unsubscribe(subscription_, worker_bus::now());
    }

    subscription_ = {};
}

void control_reader::deliver(std::size_t &budget) noexcept
{
    broker::read_result read{.more = true};

    while (read.more && budget != 0 && subscription_) {
        const std::span messages =
            std::span(control_buffer.messages)
                .first(std::min(budget, control_buffer.messages.size()));

        read = worker_bus::broker().read(
            subscription_, {control_buffer.bytes, messages}, worker_bus::now());
        budget -= read.count;

        if (read.lost) {
            listener_.on_overrun();
        }

        for (const broker::message &message : messages.first(read.count)) {
            listener_.on_event(
                static_cast<control_event>(message.kind), message.from,
                {reinterpret_cast<const char *>(message.payload.data()),
                 message.payload.size()});
        }
    }
}

} // namespace websocket::nginx
