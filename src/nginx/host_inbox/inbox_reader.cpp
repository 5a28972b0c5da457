// Handles the entries of the inbox page by page.
#include "nginx/host_inbox/inbox_reader.hpp"

#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/workers/redis_counters.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "redis/keys.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace websocket::nginx {

namespace {

// Of the entries of a page, and of the answers to them. An entry is handled
// even if it is larger.
constexpr std::string_view max_page = "262144";
constexpr std::size_t max_answer_bytes = 262'144;

void log_invalid_entry() noexcept
{
    static log_throttle line;

    if (log_permit permit = line.allows(); permit) {
        write_log(
            NGX_LOG_ERR, ngx_cycle->log,
            "websocket: the inbox of this host in Redis has an entry that "
            "this version cannot read: it is ignored; all hosts must have "
            "the same version of the module%V",
            permit.suppressed());
    }
}

} // namespace

void inbox_reader::start()
{
    started_ = true;
    read();
}

void inbox_reader::wake()
{
    if (started_) {
        read();
    }
}

void inbox_reader::retry()
{
    if (started_ && failed_) {
        read();
    }
}

void inbox_reader::stop() noexcept
{
    started_ = false;
    again_ = false;
}

void inbox_reader::reset() noexcept
{
    stop();
    handled_.clear();
    answers_.clear();
    answer_bytes_ = 0;
    sent_handled_ = sent_answers_ = 0;
}

void inbox_reader::read()
{
    if (in_flight_) {
        again_ = true;
        return;
    }

    const std::string_view uid = worker_bus::zone().host.uid();
    const std::array<std::string, 3> keys{redis::inbox_key(uid),
                                          redis::inbox_bytes_key(uid),
                                          redis::inboxes_key()};
    const std::string prefix =
        redis_.settings().prefix + redis::shard_tag(redis::inbox_shard);
    const std::string count = std::to_string(handled_.size());
    std::vector<std::string> sizes;
    std::vector<std::string_view> arguments{prefix, max_page, count};

    sizes.reserve(handled_.size()); // so that views of them stay valid

    for (const handled_entry &each : handled_) {
        sizes.push_back(std::to_string(each.size));
        arguments.push_back(each.id);
        arguments.push_back(sizes.back());
    }

    for (const answer &each : answers_) {
        arguments.push_back(each.host);
        arguments.push_back(each.text);
    }

    again_ = false;
    sent_handled_ = handled_.size();
    sent_answers_ = answers_.size();
    in_flight_ = redis_.run(redis::inbox_shard,
                            {redis::script::read_inbox, keys, arguments},
                            on_reply, this);
    failed_ = !in_flight_;
}

void inbox_reader::on_reply(void *data, const redisReply *reply) noexcept
{
    auto &self = *static_cast<inbox_reader *>(data);

    self.in_flight_ = false;

    if (reply == nullptr) { // the connection was lost
        self.failed_ = true;
    } else {
        self.owner_.run_inbox_callback(self, *reply);
    }
}

void inbox_reader::read_reply(const redisReply &reply)
{
    if (const std::string_view error = error_in(&reply); !error.empty()) {
        static log_throttle line;

        failed_ = true;
        log_refused(line, "return what other hosts sent to this one", error,
                    "retrying");
        return;
    }

    handled_.erase(handled_.begin(),
                   handled_.begin() + static_cast<std::ptrdiff_t>(std::min(
                                          sent_handled_, handled_.size())));
    answers_.erase(answers_.begin(),
                   answers_.begin() + static_cast<std::ptrdiff_t>(std::min(
                                          sent_answers_, answers_.size())));
    sent_handled_ = sent_answers_ = 0;
    answer_bytes_ = 0;

    if (!started_) {
        return;
    }

    for (const redisReply *each : list_in(&reply)) {
        const auto entry = list_in(each);

        if (answer_bytes_ > max_answer_bytes) {
            break; // the next page begins with it
        }

        if (entry.size() == 2 &&
            !handle(text_in(entry[0]), text_in(entry[1]))) {
            return;
        }
    }

    if (!handled_.empty() || again_) {
        read();
    }
}

// False: another process leads.
bool inbox_reader::handle(std::string_view id, std::string_view text)
{
    const std::uint64_t number = redis::inbox_entry_number(id);
    const auto entry = redis::parse_inbox_entry(text);

    if (!entry || number == 0) {
        log_invalid_entry();
    } else if (handlers_of_inbox != nullptr) {
        const bool leads = entry->is_answer
                               ? handlers_of_inbox->on_answer(*entry, text)
                               : handle_request(*entry, number);

        if (!leads) {
            return false;
        }
    }

    handled_.push_back({std::string(id), text.size()});
    return true;
}

bool inbox_reader::handle_request(const redis::inbox_entry &entry,
                                  std::uint64_t number)
{
    const auto body = handlers_of_inbox->on_request(entry.body, number);

    if (!body) {
        return false;
    }

    host_redis_counters().direct_received.add(1);

    if (entry.number != 0) {
        answers_.push_back(
            {std::string(entry.host),
             redis::write_inbox_entry({.is_answer = true,
                                       .host = worker_bus::zone().host.uid(),
                                       .worker = entry.worker,
                                       .number = entry.number,
                                       .body = *body})});
        answer_bytes_ += answers_.back().text.size();
    }

    return true;
}

} // namespace websocket::nginx
