// The reports of processes in a random run, and the actions of the leader. It
// appends messages with external numbers to some rooms.
#pragma once

#include "broker_fixture.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <random>

namespace broker_tests {

// Their names are numbers. The last rooms have external numbers.
constexpr std::size_t room_count = 6;
constexpr std::size_t outer_room_count = 2;
constexpr std::uint32_t max_clients = 50;
constexpr std::uint32_t max_remote_clients = 10;

// Numbers the messages of a room, as Redis does for several hosts. Epoch and
// sequence are one word, so that the death of a leader cannot separate them.
class numbering {
public:
    message_id last() const { return {last_ >> 32, last_ & UINT32_MAX}; }
    message_id next() { return count(1); }
    message_id count(std::uint64_t more)
    {
        last_ += more;
        return last();
    }
    void begin_anew(std::uint32_t sequence)
    {
        last_ = (last().epoch + 1) << 32 | sequence;
    }

private:
    std::atomic<std::uint64_t> last_{std::uint64_t{1} << 32};
};

// The sender of messages with external numbers. No process has this id.
constexpr std::int32_t sender_of(std::uint64_t epoch)
{
    return (1 << 30) + static_cast<std::int32_t>(epoch);
}

// Reports of the processes to the test, in shared memory.
struct report {
    std::atomic<bool> over;
    std::atomic<std::uint64_t> messages_read;
    std::atomic<std::uint64_t> external;
    std::atomic<std::uint64_t> gaps;
    std::array<numbering, outer_room_count> numbers;
    std::array<char, 200> fault;
};

// The content of each message: its sender, its number among the messages of
// that sender, and bytes derived from both. With external numbers, these are
// epoch and sequence.
struct content {
    std::int32_t sender;
    std::uint32_t number;
    std::uint32_t size;
};

inline std::vector<std::byte> bytes_of(const content &what)
{
    std::vector<std::byte> bytes(sizeof(content) + what.size);

    std::memcpy(bytes.data(), &what, sizeof(content));
    for (std::uint32_t i = 0; i < what.size; i++) {
        bytes[sizeof(content) + i] =
            static_cast<std::byte>(what.number * 31 + what.sender + i);
    }

    return bytes;
}

// A process that may lead. It continues after the last message of the leader
// before it.
class leader {
public:
    using wake_function = std::function<void(const slot_set &)>;

    leader(broker &core, report &out, std::mt19937_64 &random,
           wake_function wake)
        : core_{core}, report_{out}, random_{random}, wake_{std::move(wake)}
    {}

    // Returns a fault, or an empty text.
    std::string act(unsigned slot, std::uint64_t now)
    {
        if (!core_.lead(slot, now)) {
            return {};
        }
        if (core_.leader() != slot && core_.leads()) {
            return "another slot leads";
        }

        const std::size_t which = random_() % outer_room_count;
        const unsigned what = random_() % 100;
        name_ = std::to_string(room_count + which);
        now_ = now;

        numbering &by = report_.numbers[which];

        if (what < 80) {
            return relay_next(by.next());
        }
        if (what < 92) {
            relay_transient();
        } else if (what < 94) {
            by.begin_anew(static_cast<std::uint32_t>(random_() % 1000));
            reset_position(by.last(), random_() % 2 == 0);
        } else if (what < 96) {
            reset_position(by.count(random_() % 3), true);
        } else if (what < 98) {
            set_remote_counts();
        } else {
            core_.resign(slot);
        }
        return {};
    }

private:
    // Messages that a dead leader had not appended are reported as lost.
    std::string relay_next(message_id next)
    {
        const unsigned spread = random_() % 200;
        const content what{.sender = sender_of(next.epoch),
                           .number = static_cast<std::uint32_t>(next.sequence),
                           .size = static_cast<std::uint32_t>(
                               random_() % (spread == 0 ? 60'000 : 200))};
        outcome sent = append_external(what, false, next);

        if (sent == outcome::duplicate) {
            return "a new message is a duplicate";
        }
        if (sent == outcome::out_of_order) {
            reset_position(next, true);
        }
        if (sent == outcome::not_leading) {
            return ""; // it was paused for too long
        }
        sent = append_external(what, false, next);
        return sent == outcome::done || sent == outcome::no_memory
                   ? "a message was appended twice"
                   : "";
    }

    void relay_transient()
    {
        append_external({.sender = getpid(), .number = ++number_, .size = 20},
                        true, {});
    }

    outcome append_external(const content &what, bool transient, message_id id)
    {
        const std::vector<std::byte> bytes = bytes_of(what);
        const append_result sent = core_.append_external(
            name_,
            {.payload = bytes,
             .from = static_cast<std::uint64_t>(what.sender),
             .time = now_,
             .transient = transient},
            id, now_);

        wake_(sent.wake);
        return sent.result;
    }

    void reset_position(message_id last, bool lost)
    {
        const append_result done =
            core_.reset_position(name_, last, lost, now_);

        wake_(done.wake);
        report_.external += done.result == outcome::done ? 1 : 0;
    }

    void set_remote_counts()
    {
        core_.set_remote_clients(name_, random_() % (max_remote_clients + 1));
        core_.set_link_generation(static_cast<std::uint32_t>(random_() % 2));
        core_.mark_synced(name_, 1);
    }

    broker &core_;
    report &report_;
    std::mt19937_64 &random_;
    wake_function wake_;
    std::string name_;
    std::uint64_t now_ = 0;
    std::uint32_t number_ = 0;
};

} // namespace broker_tests
