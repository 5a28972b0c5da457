// Says and reads what workers tell each other.
#include "nginx/workers/control_channel.hpp"

#include "nginx/workers/read_buffer.hpp"

#include <algorithm>

namespace websocket::nginx {

namespace {

// Larger than any name.
reading_room<8> control_buffer;

} // namespace

std::string worker_log(unsigned slot)
{
    return ":worker:" + std::to_string(slot);
}

void say(std::string_view log, control what, std::uint64_t from,
         std::string_view name) noexcept
{
    const broker::appended done =
        exchange::shared().append(log,
                                  {.payload = std::as_bytes(std::span(name)),
                                   .from = from,
                                   .time = exchange::now(),
                                   .kind = static_cast<std::uint8_t>(what),
                                   .transient = true},
                                  {}, exchange::now());

    exchange::wake(done.wake);
}

bool control_reader::listen(std::string_view log) noexcept
{
    const broker::subscribed made = exchange::shared().subscribe(
        exchange::slot(), log, static_cast<news_reader *>(this), {},
        exchange::now());

    subscription_ = made.handle;
    return made.result == broker::outcome::done;
}

void control_reader::stop() noexcept
{
    if (subscription_ && exchange::running()) {
        exchange::shared().unsubscribe(subscription_, exchange::now());
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

        read = exchange::shared().read(
            subscription_, {control_buffer.bytes, messages}, exchange::now());
        budget -= read.count;

        if (read.lost) {
            told_.missed();
        }

        for (const broker::message &message : messages.first(read.count)) {
            told_.heard(static_cast<control>(message.kind), message.from,
                        {reinterpret_cast<const char *>(message.payload.data()),
                         message.payload.size()});
        }
    }
}

} // namespace websocket::nginx
