// A process that performs random operations on the broker, and checks the
// messages that it reads.
#pragma once

#include "random_leader.hpp"
#include "random_members.hpp"

#include <chrono>
#include <csignal>
#include <limits>

#include <poll.h>

namespace broker_tests {

constexpr std::size_t slot_count = 8;
constexpr std::size_t max_subscriptions = 8;
constexpr int longest_sleep = 3000; // milliseconds
constexpr std::uint64_t forever = std::numeric_limits<std::uint64_t>::max();

// Asks the kernel whether a process runs.
struct real_processes : process_monitor {
    bool alive(std::int32_t pid) noexcept override { return kill(pid, 0) == 0; }
    void clients_lost(std::string_view, std::uint32_t) noexcept override {}
};

// One process: subscribes, publishes, reads, and checks the messages.
class worker {
public:
    worker(broker &core, std::span<const int> events, report &out,
           std::uint64_t seed)
        : core_{core}, events_{events}, report_{out}, random_{seed}
    {}

    void run(std::int32_t index)
    {
        const claim_result taken =
            core_.claim(getpid(), index, processes_, now());

        if (!taken.slot.has_value()) {
            return fail("no slot was free");
        }
        slot_ = *taken.slot;
        wake(taken.wake);
        while (!report_.over) {
            act();
        }
        // Messages that were sent must still arrive.
        listen();
        if (random_() % 2 == 0) {
            core_.release(slot_, now());
        }
    }

private:
    struct reader {
        subscription handle;
        bool outer; // its messages have external numbers
        std::uint64_t position;
        message_id id;
        std::map<std::int32_t, std::uint32_t> numbers;
    };

    std::uint64_t now() const
    {
        return std::chrono::duration_cast<std::chrono::milliseconds>(
                   std::chrono::system_clock::now().time_since_epoch())
            .count();
    }

    [[noreturn]] void fail(const std::string &fault)
    {
        std::strncpy(report_.fault.data(), fault.c_str(),
                     report_.fault.size() - 1);
        _exit(1);
    }

    void act()
    {
        const unsigned what = random_() % 100;

        if (what < 25) {
            publish();
        } else if (what < 35) {
            count_members();
        } else if (what < 45) {
            lead();
        } else if (what < 80) {
            listen();
        } else if (what < 85) {
            subscribe();
        } else if (what < 88) {
            unsubscribe();
        } else if (what < 94) {
            count_clients();
        } else if (what < 97) {
            look_back();
        } else if (what < 98) {
            wake(core_.reclaim_dead(processes_, now()));
        } else if (what < 99) {
            // May treat unused logs as expired.
            core_.expire(now() + (random_() % 2) * unused_log_ttl, 20);
        } else if (const std::string_view damage = check_integrity(core_);
                   !damage.empty()) {
            fail(std::string(damage));
        }
    }

    std::string any_room() { return std::to_string(random_() % room_count); }

    limits any_limits()
    {
        static constexpr std::array<limits, 4> choice{
            {{},
             {.messages = 5},
             {.messages = 50, .milliseconds = 20},
             {10'000}}};

        return choice[random_() % choice.size()];
    }

    reader *any_reader()
    {
        return readers_.empty() ? nullptr
                                : &readers_[random_() % readers_.size()];
    }

    void publish()
    {
        const unsigned spread = random_() % 50;
        const content next{.sender = getpid(),
                           .number = ++number_,
                           .size = static_cast<std::uint32_t>(
                               random_() % (spread == 0 ? 8000 : 200))};
        const std::vector<std::byte> bytes = bytes_of(next);
        const publication what{.payload = bytes,
                               .from = static_cast<std::uint64_t>(next.sender),
                               .time = now(),
                               .transient = random_() % 4 == 0};
        const reader *chosen = any_reader();
        const append_result sent =
            chosen != nullptr && !chosen->outer && random_() % 2 == 0
                ? core_.append(chosen->handle, what, now())
                : core_.append(any_room(), what, any_limits(), now());

        if (sent.result != outcome::done) {
            fail("an append was refused");
        }
        wake(sent.wake);
    }

    void lead()
    {
        if (const std::string fault = leader_.act(slot_, now());
            !fault.empty()) {
            fail(fault);
        }
    }

    void count_members()
    {
        if (const std::string fault = members_.act(slot_, now());
            !fault.empty()) {
            fail(fault);
        }
    }

    void wake(const slot_set &slots)
    {
        for (std::size_t i = 0; i < slot_count; i++) {
            if (slots.test(i)) {
                const std::uint64_t one = 1;
                if (write(events_[i], &one, sizeof(one)) != sizeof(one)) {
                    fail("an eventfd could not be written");
                }
            }
        }
    }

    // Reads all messages, and sometimes sleeps until it is woken. After a sleep
    // that reached its timeout, messages must be new.
    void listen()
    {
        drain(forever);

        pollfd event{.fd = events_[slot_], .events = POLLIN, .revents = 0};

        if (poll(&event, 1, random_() % 50 == 0 ? longest_sleep : 0) == 1) {
            std::uint64_t count = 0;
            static_cast<void>(!read(events_[slot_], &count, sizeof(count)));
            drain(forever);
        } else {
            drain(longest_sleep / 2);
        }
    }

    void drain(std::uint64_t oldest)
    {
        while (const unread_subscription next = core_.next_unread(slot_)) {
            auto *from = static_cast<reader *>(nullptr);

            for (reader &each : readers_) {
                if (each.handle == next.handle) {
                    from = &each;
                }
            }
            if (from == nullptr) {
                fail("an unread subscription is unknown");
            }
            read_some(*from, oldest);
        }
    }

    void read_some(reader &from, std::uint64_t oldest)
    {
        const read_result result =
            core_.read(from.handle, storage_.buffers(), now());

        if (result.needed != 0) {
            storage_.grow(result.needed);
            return;
        }
        if (result.count == 0 && !result.lost) {
            fail("an unread subscription has no message");
        }
        bool lost = result.lost;
        for (const message &each : storage_.first(result.count)) {
            check(from, each, lost);
            lost = false;
            if (now() > each.time && now() - each.time > oldest) {
                fail("no slot was woken for a message");
            }
        }
        if (result.lost) {
            report_.gaps++;
            from.position = result.count == 0 ? 0 : from.position;
        }
        report_.messages_read += result.count;
    }

    // Position 0 is unknown, because all messages had been lost.
    void check(reader &from, const message &next, bool lost)
    {
        const std::uint64_t step = next.transient ? 0 : 1;
        const bool new_epoch = next.id.epoch != from.id.epoch;

        if (from.position != 0 && !lost &&
            (next.position != from.position + 1 ||
             (!new_epoch && next.id.sequence != from.id.sequence + step))) {
            fail("a message is missing or duplicated");
        }
        if (next.position <= from.position ||
            (!new_epoch && next.id.sequence < from.id.sequence + step)) {
            fail("messages are not in order");
        }
        from.position = next.position;
        from.id = next.id;
        check_content(from, next);
    }

    void check_content(reader &from, const message &next)
    {
        content what;

        if (next.payload.size() < sizeof(content)) {
            fail("a message is too short");
        }
        std::memcpy(&what, next.payload.data(), sizeof(content));
        const std::vector<std::byte> bytes = bytes_of(what);
        if (next.payload.size() != bytes.size() ||
            std::memcmp(bytes.data(), next.payload.data(), bytes.size()) != 0 ||
            next.from != static_cast<std::uint64_t>(what.sender)) {
            fail("a message has changed");
        }
        if (from.outer && !next.transient &&
            (what.sender != sender_of(next.id.epoch) ||
             what.number != next.id.sequence)) {
            fail("a message has the id of another one");
        }
        std::uint32_t &number = from.numbers[what.sender];
        if (what.number <= number) {
            fail("a sender's messages are not in order");
        }
        number = what.number;
    }

    void subscribe()
    {
        if (readers_.size() == max_subscriptions) {
            return;
        }
        const std::size_t room = random_() % (room_count + outer_room_count);
        const subscribed result = core_.subscribe(slot_, std::to_string(room),
                                                  nullptr, any_limits(), now());
        if (result.result != outcome::done) {
            fail("a subscription was refused");
        }
        readers_.push_back({result.handle, room >= room_count, 0, {}, {}});
    }

    void unsubscribe()
    {
        if (!readers_.empty()) {
            core_.unsubscribe(readers_.back().handle, now());
            readers_.pop_back();
        }
    }

    void count_clients()
    {
        if (const reader *chosen = any_reader()) {
            if (random_() % 2 == 0) {
                static_cast<void>(core_.join(chosen->handle, max_clients));
            } else {
                core_.leave(chosen->handle);
            }
            if (core_.clients(chosen->handle) >
                max_clients + max_remote_clients) {
                fail("there are more clients than allowed");
            }
        }
    }

    // The history ends at the position of the subscription. No message is
    // missing after its first one.
    void look_back()
    {
        if (const reader *chosen = any_reader()) {
            const message_id passed = core_.passed_id(chosen->handle);
            const std::uint64_t after =
                passed.sequence - std::min<std::uint64_t>(passed.sequence, 8);
            const read_result result = core_.read_history(
                chosen->handle, after, storage_.buffers(), now());
            std::uint64_t before = after;
            bool lost = result.lost;

            for (const message &each : storage_.first(result.count)) {
                if (each.id.epoch != passed.epoch) {
                    return; // the position was set meanwhile
                }
                if (each.transient || each.id.sequence > passed.sequence ||
                    (!lost && each.id.sequence != before + 1)) {
                    fail("the history is wrong");
                }
                before = each.id.sequence;
                lost = false;
            }
            if (result.count > 0 && !result.more && before != passed.sequence) {
                fail("the history ends too early");
            }
        }
    }

    broker &core_;
    std::span<const int> events_;
    report &report_;
    std::mt19937_64 random_;
    real_processes processes_;
    unsigned slot_ = 0;
    std::uint32_t number_ = 0;
    leader leader_{core_, report_, random_,
                   [this](const slot_set &slots) { wake(slots); }};
    random_members members_{core_, random_};
    std::vector<reader> readers_;
    read_memory storage_{16, 2048};
};

} // namespace broker_tests
