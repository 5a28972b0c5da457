// Reads the inbox of this host for the leader: requests of other hosts for
// single clients and users, and their answers.
//
// A channel only says that there is something to read. An entry stays in the
// inbox until it has been handled: one script removes the handled entries,
// sends the answers to them, and returns the next ones. If the leader dies
// before, the next one handles these entries again; the workers skip what they
// have.
#pragma once

#include "nginx/redis_nodes/router.hpp"
#include "redis/inbox_entry.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace websocket::nginx {

// Set by nginx/direct. All throw std::bad_alloc.
struct inbox_handlers {
    // Handles a request under the number of its entry, and returns the answer.
    // Nothing: this process has lost the lead.
    std::optional<std::string> (*on_request)(std::string_view body,
                                             std::uint64_t number);

    // Passes an answer to the worker that asked. `text` is the whole entry.
    // False: this process has lost the lead.
    bool (*on_answer)(const redis::inbox_entry &entry, std::string_view text);
};

// Null: this host has no inbox.
inline const inbox_handlers *handlers_of_inbox = nullptr;

class inbox_reader {
public:
    struct owner {
        // Calls read_reply() of the reader, unless another process leads.
        virtual void run_inbox_callback(inbox_reader &reader,
                                        const redisReply &reply) noexcept = 0;

    protected:
        ~owner() = default;
    };

    inbox_reader(shard_router &redis, owner &holder) noexcept
        : redis_{redis}, owner_{holder}
    {}

    // Entries are handled from now on. Throws std::bad_alloc, as all functions
    // that are not noexcept.
    void start();

    // There may be something to read.
    void wake();

    // Reads again after Redis has refused.
    void retry();

    // The connection is lost. Handled entries are removed after the next start.
    void stop() noexcept;

    // Another process leads.
    void reset() noexcept;

    void read_reply(const redisReply &reply);

private:
    struct handled_entry {
        std::string id;
        std::size_t size;
    };
    struct answer {
        std::string host;
        std::string text;
    };

    void read();
    bool handle(std::string_view id, std::string_view text);
    bool handle_request(const redis::inbox_entry &entry, std::uint64_t number);
    static void on_reply(void *data, const redisReply *reply) noexcept;

    shard_router &redis_;
    owner &owner_;
    bool started_ = false;
    bool in_flight_ = false;       // a call of the script
    bool again_ = false;           // call it again after the reply
    bool failed_ = false;          // Redis has refused
    std::size_t sent_handled_ = 0; // of the lists below: in the present call
    std::size_t sent_answers_ = 0;
    std::vector<handled_entry> handled_;
    std::vector<answer> answers_;
    std::size_t answer_bytes_ = 0;
};

} // namespace websocket::nginx
