// Internals of websocket.hpp: the server's functions, exception handling,
// lists of clients and timers. Handlers must not use them.
//
// Variables have hidden visibility: each library has its own, which ends with
// the library.
#pragma once

#include "websocket_plugin.h"
#include "websocket_text.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <iterator>
#include <list>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace websocket {

class client;

namespace detail {

template <class Resource>
struct callbacks;

websocket_client_t *handle_of(client &owner) noexcept;

[[gnu::visibility("hidden")]] inline const websocket_server_t *server = nullptr;

// The handle that the next constructor of a base class takes: constructors of
// handlers have no parameters.
[[gnu::visibility("hidden")]] inline websocket_client_t *pending_client =
    nullptr;
[[gnu::visibility("hidden")]] inline websocket_resource_t *pending_resource =
    nullptr;

inline std::string_view view(websocket_text_t text) noexcept
{
    return {text.data, text.size};
}

inline websocket_text_t text(std::string_view view) noexcept
{
    return {view.data(), view.size()};
}

// Sets the pending handle while an object is constructed.
template <class Handle>
class pending_scope {
public:
    pending_scope(Handle *&pending, Handle *handle) noexcept
        : pending_{pending}, previous_{std::exchange(pending, handle)}
    {}
    pending_scope(const pending_scope &) = delete;
    pending_scope &operator=(const pending_scope &) = delete;
    ~pending_scope() { pending_ = previous_; }

private:
    Handle *&pending_;
    Handle *previous_;
};

template <class Object, class Handle>
Object *construct(Handle *&pending, Handle *handle)
{
    const pending_scope<Handle> scope(pending, handle);
    return new Object();
}

// Takes the pending handle: each handle gets one object.
template <class Handle>
Handle *take_pending(Handle *&pending, const char *error)
{
    if (pending == nullptr) {
        throw std::logic_error(error);
    }

    return std::exchange(pending, nullptr);
}

// Limits the exceptions that a library logs in 10 seconds and counts the
// others: a client may be able to provoke them, and must not fill the log.
class exception_log_limit {
public:
    static constexpr unsigned max_lines = 20;

    bool allows() noexcept
    {
        const auto now = std::chrono::steady_clock::now();

        if (now >= next_) {
            next_ = now + std::chrono::seconds(10);
            lines_ = 0;
        }

        if (lines_ == max_lines) {
            omitted_++;
            return false;
        }

        lines_++;
        return true;
    }

    unsigned long long take_omitted() noexcept
    {
        return std::exchange(omitted_, 0);
    }

private:
    std::chrono::steady_clock::time_point next_{};
    unsigned lines_ = 0;
    unsigned long long omitted_ = 0;
};

[[gnu::visibility("hidden")]] inline exception_log_limit log_limit;

// Allocates nothing: the exception may be std::bad_alloc.
inline void log_exception(const websocket_resource_t *resource,
                          const char *where, const char *what) noexcept
{
    char line[512];

    if (!log_limit.allows()) {
        return;
    }

    if (const auto omitted = log_limit.take_omitted(); omitted != 0) {
        std::snprintf(line, sizeof(line), "%llu exceptions were left out",
                      omitted);
        server->log(resource, WEBSOCKET_LOG_ERROR, text(line));
    }

    std::snprintf(line, sizeof(line), "exception in %s: %s", where, what);
    server->log(resource, WEBSOCKET_LOG_ERROR, text(line));
}

// Runs the call. Returns false, and logs the exception, if it threw.
template <class Call>
bool call_guarded(const websocket_resource_t *resource, const char *where,
                  Call call) noexcept
{
    try {
        call();
        return true;
    } catch (const std::exception &thrown) {
        log_exception(resource, where, thrown.what());
    } catch (...) {
        log_exception(resource, where, "not a std::exception");
    }

    return false;
}

// The connected clients of a resource. During an iteration a removed client
// leaves an empty slot, so that indices stay valid.
class client_list {
public:
    enum : std::size_t { npos = SIZE_MAX };

    void add(client &added);
    void remove(client &removed) noexcept;

    std::size_t size() const noexcept { return slots_.size(); }
    client *at(std::size_t index) const noexcept { return slots_[index]; }

    void begin_iteration() noexcept { iterations_++; }
    void end_iteration() noexcept;

private:
    std::vector<client *> slots_;
    std::size_t iterations_ = 0;
    bool has_empty_slots_ = false;
};

// A range over a list. It skips clients that end during the iteration.
template <class Client>
class client_range {
public:
    class iterator {
    public:
        using value_type = Client;
        using difference_type = std::ptrdiff_t;

        iterator() noexcept = default;
        explicit iterator(const client_list &list) noexcept : list_{&list}
        {
            skip_empty_slots();
        }

        Client &operator*() const noexcept
        {
            return static_cast<Client &>(*list_->at(index_));
        }
        Client *operator->() const noexcept { return &**this; }

        iterator &operator++() noexcept
        {
            index_++;
            skip_empty_slots();
            return *this;
        }
        iterator operator++(int) noexcept
        {
            iterator before = *this;
            ++*this;
            return before;
        }

        bool operator==(const iterator &) const noexcept = default;
        bool operator==(std::default_sentinel_t) const noexcept
        {
            return index_ >= list_->size();
        }

    private:
        void skip_empty_slots() noexcept
        {
            while (index_ < list_->size() && list_->at(index_) == nullptr) {
                index_++;
            }
        }

        const client_list *list_ = nullptr;
        std::size_t index_ = 0;
    };

    explicit client_range(client_list &list) noexcept : list_{list}
    {
        list_.begin_iteration();
    }
    client_range(const client_range &) = delete;
    client_range &operator=(const client_range &) = delete;
    ~client_range() { list_.end_iteration(); }

    iterator begin() const noexcept { return iterator(list_); }
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    client_list &list_;
};

// The timers of a resource, which end with it.
class timer_list {
public:
    struct entry {
        timer_list &owner;
        bool repeats;
        std::function<void()> callback;
        websocket_timer_t *handle = nullptr; // null: ended
        std::list<std::shared_ptr<entry>>::iterator it{};
    };

    explicit timer_list(websocket_resource_t *resource) noexcept
        : resource_{resource}
    {}
    timer_list(const timer_list &) = delete;
    timer_list &operator=(const timer_list &) = delete;

    ~timer_list()
    {
        while (!entries_.empty()) {
            stop(*entries_.front());
        }
    }

    // Empty if the server starts no timer.
    std::weak_ptr<entry> start(std::uint64_t milliseconds, bool repeats,
                               std::function<void()> callback)
    {
        // Without -fno-gnu-unique, std::make_shared would emit a symbol that
        // prevents the library from being unloaded.
        const std::shared_ptr<entry> started(
            new entry{*this, repeats, std::move(callback)});

        started->it = entries_.insert(entries_.end(), started);
        started->handle = server->start_timer(resource_, milliseconds, repeats,
                                              on_timer, started.get());

        if (started->handle == nullptr) {
            entries_.erase(started->it);
            return {};
        }

        return started;
    }

    static void stop(entry &stopped) noexcept
    {
        server->stop_timer(stopped.handle);
        stopped.owner.remove(stopped);
    }

private:
    void remove(entry &ended) noexcept
    {
        const std::shared_ptr<entry> retained = std::move(*ended.it);

        ended.handle = nullptr;
        entries_.erase(ended.it);
    }

    // The callback may stop its own timer, so the entry is retained.
    static void on_timer(void *data) noexcept
    {
        const std::shared_ptr<entry> fired = *static_cast<entry *>(data)->it;
        const websocket_resource_t *resource = fired->owner.resource_;

        if (!fired->repeats) {
            fired->owner.remove(*fired);
        }

        call_guarded(resource, "a timer", [&fired] { fired->callback(); });
    }

    websocket_resource_t *resource_;
    std::list<std::shared_ptr<entry>> entries_;
};

// Expires with the resource that owns it.
struct lifetime_token {};

// A job for the thread pool. It owns itself from run() to finished(). Its owner
// has expired by then if the resource's constructor threw.
class background_job {
public:
    background_job(websocket_resource_t *resource,
                   std::weak_ptr<const lifetime_token> owner,
                   std::function<void()> work, std::function<void()> done)
        : resource_{resource}, owner_{std::move(owner)}, work_{std::move(work)},
          done_{std::move(done)}
    {}

    // False if the server rejects the job.
    static bool run(std::unique_ptr<background_job> job) noexcept
    {
        if (server->run_in_background(job->resource_, work, finished,
                                      job.get()) == 0) {
            return false;
        }

        (void)job.release();
        return true;
    }

private:
    // Runs in a thread, which must not call the server: an exception is logged
    // later, on the event loop.
    static void work(void *data) noexcept
    {
        auto *job = static_cast<background_job *>(data);

        try {
            job->work_();
        } catch (...) {
            job->thrown_ = std::current_exception();
        }
    }

    static void finished(void *data) noexcept
    {
        const std::unique_ptr<background_job> job(
            static_cast<background_job *>(data));

        call_guarded(job->resource_, "background work", [&job] {
            if (job->thrown_) {
                std::rethrow_exception(job->thrown_);
            }
            if (!job->owner_.expired()) {
                job->done_();
            }
        });
    }

    websocket_resource_t *resource_;
    std::weak_ptr<const lifetime_token> owner_;
    std::function<void()> work_;
    std::function<void()> done_;
    std::exception_ptr thrown_;
};

} // namespace detail

} // namespace websocket
