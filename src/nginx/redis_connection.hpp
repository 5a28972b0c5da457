// A connection to Redis that keeps itself up: it connects, authenticates,
// selects the database, and when it breaks it tries again, with pauses that
// grow from 0.1 to 5 seconds.
//
// Of one thread, the worker's. Whatever it calls, an answer or its owner, may
// call it back, and may destroy it: it has nothing left to do then.
#pragma once

#include "nginx/redis_address.hpp"
#include "nginx/redis_library.hpp"
#include "nginx/redis_link.hpp"
#include "nginx/redis_settings.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace websocket::nginx {

class redis_connection {
public:
    struct owner {
        // Connected, authenticated, the database selected.
        virtual void redis_ready() noexcept = 0;

        // Was ready or could not become it, for the reason `why`, one line
        // that is lent for the call; tries again by itself. All commands have
        // had their answers.
        virtual void redis_lost(std::string_view why) noexcept = 0;

    protected:
        ~owner() = default;
    };

    enum class role {
        commands,  // anything that has one answer each
        subscriber // SUBSCRIBE and UNSUBSCRIBE, in capitals, and no more
    };

    // The settings and the owner outlive it.
    redis_connection(const redis_settings &settings, owner &told,
                     role as) noexcept;

    // Closes, calling nobody: not the owner, and no answer.
    ~redis_connection();

    redis_connection(const redis_connection &) = delete;
    redis_connection &operator=(const redis_connection &) = delete;

    // From now on it keeps itself connected.
    void open() noexcept;

    // And stays closed. Commands without an answer get null, the owner is not
    // told.
    void close() noexcept;

    bool ready() const noexcept;

    // Sends a command behind those before it; what one turn of the event loop
    // asks leaves in one piece. The words are copied. False: not ready, or no
    // memory, and `answer` will not be called.
    //
    // Role commands: `answer` (null: nobody) is called once, in the order of
    // the commands, with null if the connection ended before.
    //
    // Role subscriber: the answer of SUBSCRIBE is called with each reply that
    // has the names of its channels: arrays of three, "subscribe", "message"
    // or "unsubscribe", the channel, and a payload or number; behind
    // "unsubscribe" nothing comes for a channel. If the connection ends, it is
    // called with null once for each channel. The pair of answer and data is
    // remembered as long as the connection lasts: use few. UNSUBSCRIBE has no
    // answer of its own.
    bool command(std::span<const std::string_view> words, redis_answer answer,
                 void *data) noexcept;

    // Ends the connection as if it had broken, and tries again: the owner has
    // found it useless.
    void restart(std::string_view why) noexcept;

    // How often it has become ready.
    std::uint64_t connects() const noexcept { return connects_; }

    // Bytes of commands that the socket has not taken yet: it is the owner who
    // stops asking when they are too many.
    std::size_t unsent() const noexcept;

private:
    std::uint64_t connects_ = 0;
};

} // namespace websocket::nginx
