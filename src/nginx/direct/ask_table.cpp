// Reads the answers of other hosts.
#include "nginx/direct/ask_table.hpp"

#include "nginx/direct/host_requests.hpp"
#include "nginx/workers/read_buffer.hpp"
#include "nginx/workers/redis_counters.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace websocket::nginx::host_asks {

namespace {

// Of this worker. More are refused.
constexpr std::size_t max_waiting = 4096;

read_buffer<8> answer_buffer;

} // namespace

ask_table::~ask_table()
{
    if (subscription_ && worker_bus::running()) {
        worker_bus::broker().unsubscribe(subscription_, worker_bus::now());
    }
}

waiting_ask *ask_table::add(std::string request, callback done, void *data)
{
    if (stopped_ || asks_.size() == max_waiting || !subscribed()) {
        return nullptr;
    }

    auto added = std::make_unique<waiting_ask>();
    waiting_ask &ask = *added;

    ask.number = ++last_number_;
    ask.request = std::move(request);
    ask.done = done;
    ask.data = data;
    ask.timer.data = &ask;
    ask.timer.log = ngx_cycle->log;
    asks_.emplace(ask.number, std::move(added));
    return &ask;
}

waiting_ask *ask_table::find(std::uint64_t number) noexcept
{
    const auto found = asks_.find(number);

    return found == asks_.end() ? nullptr : found->second.get();
}

void ask_table::finish(waiting_ask &ask, result what) noexcept
{
    const auto found = asks_.find(ask.number);
    const std::unique_ptr<waiting_ask> ended = std::move(found->second);

    asks_.erase(found);

    if (what != result::complete) {
        host_redis_counters().direct_failed.add(1);
    }

    ended->done(ended->data, {what, ended->answers});
}

void ask_table::end_all() noexcept
{
    stopped_ = true;

    while (!asks_.empty()) {
        finish(*asks_.begin()->second, result::unreachable);
    }
}

void ask_table::on_answer(const redis::inbox_entry &entry)
{
    waiting_ask *ask = find(entry.number);

    if (ask == nullptr) {
        return; // late, or repeated
    }

    if (!ask->accepted) {
        ask->early.push_back(
            {std::string(entry.host), std::string(entry.body)});
        return;
    }

    const auto host = std::ranges::find(ask->from, entry.host);

    if (host != ask->from.end()) {
        ask->answers.emplace_back(entry.body);
        ask->from.erase(host);
    }

    if (ask->from.empty()) {
        finish(*ask, result::complete);
    }
}

bool ask_table::subscribed()
{
    if (subscription_ || !worker_bus::running()) {
        return static_cast<bool>(subscription_);
    }

    subscription_ =
        worker_bus::broker()
            .subscribe(worker_bus::slot(),
                       host_requests::answers_log(worker_bus::slot()),
                       static_cast<subscriber *>(this), {}, worker_bus::now())
            .handle;
    return static_cast<bool>(subscription_);
}

// Requests do not wait for lost answers for ever.
void ask_table::deliver(std::size_t &budget) noexcept
{
    std::unique_ptr<std::byte[]> larger;
    broker::read_buffers buffers{answer_buffer.bytes, answer_buffer.messages};
    broker::read_result read{.more = true};

    while (read.more && budget != 0) {
        buffers.messages =
            std::span(answer_buffer.messages)
                .first(std::min(budget, answer_buffer.messages.size()));
        read = worker_bus::broker().read(subscription_, buffers,
                                         worker_bus::now());

        if (read.needed != 0) {
            if (!enlarge(buffers, larger, read.needed)) {
                budget = 0; // the next turn tries again
                return;
            }
            read.more = true;
            continue;
        }

        budget -= read.count;

        for (const broker::message &each : buffers.messages.first(read.count)) {
            deliver_one(each);
        }
    }
}

void ask_table::deliver_one(const broker::message &message) noexcept
try {
    const auto entry = redis::parse_inbox_entry(as_text(message.payload));

    if (entry) {
        on_answer(*entry);
    }
} catch (const std::bad_alloc &) {}

} // namespace websocket::nginx::host_asks
