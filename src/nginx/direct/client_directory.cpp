// Each worker reads a log of its own, in which other workers, and it itself,
// write messages for its clients.
#include "nginx/direct/client_directory.hpp"

#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/direct/direct_format.hpp"
#include "nginx/members/member_counts.hpp"
#include "nginx/direct/user_presence.hpp"
#include "nginx/resource/client_subscription.hpp"
#include "nginx/resource/message_user.hpp"
#include "nginx/session/worker.hpp"
#include "nginx/workers/read_buffer.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace websocket::nginx::client_directory {

namespace {

read_buffer<8> direct_buffer;

std::string log_of(unsigned slot)
{
    return ":direct:" + std::to_string(slot);
}

// Calls each(scope, member) for the members that a client counts in, beside
// those of its resource.
template <class Each>
void each_member(const session &client, std::string_view key, Each each)
{
    const std::string_view handler = client.handler().name;
    const std::string id = std::to_string(client.id());

    each(clients_of(handler), id);
    each(clients_of(handler).append(key), id);
}

// A client counts as one of its user also if nobody can send to users: the
// status shows their number.
bool counts_in_handler(const session &client) noexcept
{
    return !client.user().empty() && worker_bus::running();
}

class directory final : subscriber {
public:
    explicit directory(bool addresses) noexcept : addresses_{addresses}
    {
        member_counts::start();
        user_presence::start();
        check_event_.handler = on_check;
        check_event_.data = &check_event_;
        check_event_.log = ngx_cycle->log;
        check_event_.cancelable = 1; // must not delay graceful shutdown
        ngx_add_timer(&check_event_, check_interval);
    }
    ~directory()
    {
        if (check_event_.timer_set) {
            ngx_del_timer(&check_event_);
        }

        if (subscription_ && worker_bus::running()) {
            worker_bus::broker().unsubscribe(subscription_, worker_bus::now());
        }

        user_presence::stop();
        member_counts::stop();
    }

    // Without shared memory the client cannot be addressed yet.
    void add(session &client) noexcept
    try {
        user_presence::enter(client, *client.home(), false);

        if (counts_in_handler(client)) {
            (void)member_counts::add(users_of(client.handler().name),
                                     client.user(), client.id());
        }

        if (!addresses_ || !worker_bus::running()) {
            return;
        }

        const auto [added, is_new] =
            clients_.try_emplace(client.id(), entry{&client, users_.end()});

        if (is_new && !client.user().empty()) {
            added->second.of_user = users_.emplace(client.user(), &client);
        }

        each_member(client, client.home()->name(),
                    [&](const std::string &scope, const std::string &id) {
                        subscribed()
                            ? (void)member_counts::add(scope, id, client.id())
                            : member_counts::add_later(scope, id, client.id());
                    });

    } catch (const std::bad_alloc &) {}

    void remove(session &client, std::string_view key) noexcept
    try {
        user_presence::leave(client, client.handler(), key);

        if (counts_in_handler(client)) {
            (void)member_counts::remove(users_of(client.handler().name),
                                        client.user(), client.id());
        }

        const auto known = clients_.find(client.id());

        if (known == clients_.end()) {
            return;
        }

        if (known->second.of_user != users_.end()) {
            users_.erase(known->second.of_user);
        }

        clients_.erase(known);
        each_member(client, key,
                    [&](const std::string &scope, const std::string &id) {
                        (void)member_counts::remove(scope, id, client.id());
                    });

    } catch (const std::bad_alloc &) {}

private:
    using user_map = std::multimap<std::string_view, session *>;

    struct entry {
        session *client;
        user_map::iterator of_user; // the end: it has no user
    };

    static constexpr ngx_msec_t check_interval = 1000;

    static void on_check(ngx_event_t *event);

    // Without the log no message would reach a client that is counted.
    bool count_waiting() noexcept
    try {
        return worker_bus::running() && (clients_.empty() || subscribed()) &&
               member_counts::count_waiting(user_presence::report_added);

    } catch (const std::bad_alloc &) {
        return false;
    }

    bool subscribed()
    {
        if (subscription_ || !worker_bus::running()) {
            return static_cast<bool>(subscription_);
        }

        subscription_ =
            worker_bus::broker()
                .subscribe(worker_bus::slot(), log_of(worker_bus::slot()),
                           static_cast<subscriber *>(this), {},
                           worker_bus::now())
                .handle;
        return static_cast<bool>(subscription_);
    }

    void deliver(std::size_t &budget) noexcept override
    {
        std::unique_ptr<std::byte[]> larger;
        broker::read_buffers buffers{direct_buffer.bytes,
                                     direct_buffer.messages};
        broker::read_result read{.more = true};

        while (read.more && budget != 0 && subscription_) {
            buffers.messages =
                std::span(direct_buffer.messages)
                    .first(std::min(budget, direct_buffer.messages.size()));
            read = worker_bus::broker().read(subscription_, buffers,
                                             worker_bus::now());

            if (read.needed != 0) {
                if (!enlarge(buffers, larger, read.needed)) {
                    budget = 0; // no memory: the next turn tries again
                    break;
                }
                read.more = true;
                continue;
            }

            if (read.lost) {
                log_lost();
            }

            for (const broker::message &message :
                 buffers.messages.first(read.count)) {
                budget -= std::min(budget, deliver_one(message));
            }
        }
    }

    static void log_lost() noexcept
    {
        static log_throttle line;

        if (log_permit permit = line.allows(); permit) {
            write_log(NGX_LOG_WARN, ngx_cycle->log,
                      "websocket: messages to single clients or users of this "
                      "worker were lost%V",
                      permit.suppressed());
        }
    }

    // Whether a message of an entry of the inbox came before. A leader handles
    // at most a page of entries again, of which this worker gets some.
    bool came_before(std::uint64_t inbox_entry) noexcept
    {
        if (std::ranges::find(inbox_entries_, inbox_entry) !=
            inbox_entries_.end()) {
            return true;
        }

        inbox_entries_[next_inbox_entry_++ % inbox_entries_.size()] =
            inbox_entry;
        return false;
    }

    // Returns the cost in deliveries.
    std::size_t deliver_one(const broker::message &message) noexcept
    {
        const auto found = read_direct(message.payload);

        if (!found || (message.from != 0 && came_before(message.from))) {
            return 1;
        }

        broker::message what = message;

        what.payload = found->payload;
        what.from = 0;

        if (!found->target.is_user) {
            const auto id = detail::decimal(found->target.name);
            const auto it = clients_.find(id.value_or(0));

            if (it != clients_.end()) {
                deliver_to(*it->second.client, found->target, what);
            }
            return 1;
        }

        const auto [first, last] = users_.equal_range(found->target.name);
        std::size_t cost = 1;

        for (auto it = first; it != last; it++) {
            deliver_to(*it->second, found->target, what);
            cost++;
        }

        return cost;
    }

    // A session does not end inside these calls.
    static void deliver_to(session &client, const direct_target &target,
                           const broker::message &message) noexcept
    {
        const websocket_handler_t &handler = client.handler();

        if (target.handler != handler.name || client.home() == nullptr ||
            (!target.key.empty() && target.key != client.home()->name())) {
            return;
        }

        if (message.kind == kind_close_all) {
            const auto [code, reason] = read_close(message.payload);

            client.close(code, reason, close_initiator::server);

        } else if (handler.direct_received != nullptr) {
            websocket_message_t view = as_plugin_message(message);

            view.id = {};
            client.close_if_failed(handler.direct_received(
                client.home()->object(), client.object(), &view));

        } else {
            (void)client.send(message.kind == WEBSOCKET_TEXT
                                  ? protocol::opcode::text
                                  : protocol::opcode::binary,
                              message.payload);
        }
    }

    std::unordered_map<std::uint64_t, entry> clients_; // by id

    // By user, whose text is the session's. One of the many clients of a user
    // is removed in constant time, unlike from a hash table.
    user_map users_;
    const bool addresses_;
    broker::subscription subscription_;
    std::array<std::uint64_t, 256> inbox_entries_{};
    std::size_t next_inbox_entry_ = 0;
    ngx_event_t check_event_{};
};

std::optional<directory> present;

void directory::on_check(ngx_event_t *event)
{
    const bool more_ends = user_presence::end_lost_members();
    const bool more_counts = present->count_waiting();

    ngx_add_timer(event, more_ends || more_counts ? 1 : check_interval);
}

} // namespace

void enable(bool addresses) noexcept
{
    present.emplace(addresses);
    on_client_connected = [](session &client) noexcept {
        present->add(client);
    };
    on_client_left = [](session &client, std::string_view key) noexcept {
        present->remove(client, key);
    };
    on_place_taken = [](session &client, const resource &target) noexcept {
        user_presence::enter(client, target, true);
    };
    on_place_left = [](session &client, const resource &target) noexcept {
        user_presence::leave(client, target.handler(), target.name());
    };
}

void stop() noexcept
{
    on_client_connected = nullptr;
    on_client_left = nullptr;
    on_place_taken = nullptr;
    on_place_left = nullptr;
    present.reset();
}

std::uint32_t count(const direct_target &target)
{
    return worker_bus::broker()
        .count_member(scope_of(target), target.name)
        .clients;
}

direct_result send(const direct_target &target, const direct_message &message)
{
    const broker::counted_member found =
        worker_bus::broker().count_member(scope_of(target), target.name);
    const std::string text = write_direct(target, message.payload);
    direct_result done{.clients = found.clients};

    for (unsigned slot = 0; slot != broker::max_slots; slot++) {
        if (!found.slots.test(slot)) {
            continue;
        }

        const broker::publication what{.payload =
                                           std::as_bytes(std::span(text)),
                                       .from = message.inbox_entry,
                                       .time = worker_bus::now(),
                                       .kind = message.kind,
                                       .transient = true};
        const broker::append_result appended =
            message.inbox_entry != 0
                ? worker_bus::broker().append_external(log_of(slot), what, {},
                                                       worker_bus::now())
                : worker_bus::broker().append(log_of(slot), what, {},
                                              worker_bus::now());

        worker_bus::wake(appended.wake);

        if (appended.result == broker::outcome::not_leading) {
            return {.result = appended.result};
        }

        // Gone: the worker has just ended
        if (appended.result != broker::outcome::done &&
            appended.result != broker::outcome::gone) {
            done.result = appended.result;
        }
    }

    return done;
}

} // namespace websocket::nginx::client_directory
