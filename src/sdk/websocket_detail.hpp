// What websocket.hpp stands on: the server's functions, the catching of
// exceptions, the lists of clients and timers. Nothing here is for handlers.
//
// State is hidden from the dynamic linker: each library has its own, and none
// outlives its library.
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

template <class Client>
struct callbacks;

[[gnu::visibility("hidden")]] inline const websocket_server_t *server = nullptr;

// For constructors of the bases, which have no parameters: what is being made.
[[gnu::visibility("hidden")]] inline websocket_client_t *client_being_built =
    nullptr;
[[gnu::visibility(
    "hidden")]] inline websocket_resource_t *resource_being_built = nullptr;

inline std::string_view view(websocket_text_t text) noexcept
{
    return {text.data, text.size};
}

inline websocket_text_t text(std::string_view view) noexcept
{
    return {view.data(), view.size()};
}

// Names what is being built, as long as it is.
template <class Handle>
class building {
public:
    building(Handle *&place, Handle *built) noexcept
        : place_{place}, before_{std::exchange(place, built)}
    {}
    building(const building &) = delete;
    building &operator=(const building &) = delete;
    ~building() { place_ = before_; }

private:
    Handle *&place_;
    Handle *before_;
};

template <class Object, class Handle>
Object *build(Handle *&place, Handle *handle)
{
    const building<Handle> named(place, handle);
    return new Object();
}

// What the server is about to get an object for: of one handle one object.
template <class Handle>
Handle *take_built(Handle *&place, const char *wrong)
{
    if (place == nullptr) {
        throw std::logic_error(wrong);
    }

    return std::exchange(place, nullptr);
}

// What a client may bring a handler to must not fill the error log: of a
// library's exceptions so many are said in ten seconds, the others counted.
class exception_quota {
public:
    static constexpr unsigned most = 20;

    bool allows() noexcept
    {
        const auto now = std::chrono::steady_clock::now();

        if (now >= next_) {
            next_ = now + std::chrono::seconds(10);
            said_ = 0;
        }

        if (said_ == most) {
            left_out_++;
            return false;
        }

        said_++;
        return true;
    }

    unsigned long long take_left_out() noexcept
    {
        return std::exchange(left_out_, 0);
    }

private:
    std::chrono::steady_clock::time_point next_{};
    unsigned said_ = 0;
    unsigned long long left_out_ = 0;
};

[[gnu::visibility("hidden")]] inline exception_quota quota;

// Without memory: there may be none.
inline void log_exception(const websocket_resource_t *resource,
                          const char *where, const char *what) noexcept
{
    char line[512];

    if (!quota.allows()) {
        return;
    }

    if (const auto left_out = quota.take_left_out(); left_out != 0) {
        std::snprintf(line, sizeof(line), "%llu exceptions were left out",
                      left_out);
        server->log(resource, WEBSOCKET_LOG_ERROR, text(line));
    }

    std::snprintf(line, sizeof(line), "exception in %s: %s", where, what);
    server->log(resource, WEBSOCKET_LOG_ERROR, text(line));
}

// Calls; false if that threw, after a line in the log.
template <class Call>
bool completed(const websocket_resource_t *resource, const char *where,
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

// The connected clients of a resource. While somebody reads, a place that
// becomes free stays empty, so that places keep their numbers.
class client_list {
public:
    enum : std::size_t { nowhere = SIZE_MAX };

    void add(client &added);
    void remove(client &removed) noexcept;

    std::size_t size() const noexcept { return places_.size(); }
    client *at(std::size_t place) const noexcept { return places_[place]; }

    void begin_reading() noexcept { readers_++; }
    void end_reading() noexcept;

private:
    std::vector<client *> places_;
    std::size_t readers_ = 0;
    bool gaps_ = false;
};

// The clients in a list, to loop over: those that end meanwhile are not met.
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
            skip_gaps();
        }

        Client &operator*() const noexcept
        {
            return static_cast<Client &>(*list_->at(place_));
        }
        Client *operator->() const noexcept { return &**this; }

        iterator &operator++() noexcept
        {
            place_++;
            skip_gaps();
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
            return place_ >= list_->size();
        }

    private:
        void skip_gaps() noexcept
        {
            while (place_ < list_->size() && list_->at(place_) == nullptr) {
                place_++;
            }
        }

        const client_list *list_ = nullptr;
        std::size_t place_ = 0;
    };

    explicit client_range(client_list &list) noexcept : list_{list}
    {
        list_.begin_reading();
    }
    client_range(const client_range &) = delete;
    client_range &operator=(const client_range &) = delete;
    ~client_range() { list_.end_reading(); }

    iterator begin() const noexcept { return iterator(list_); }
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    client_list &list_;
};

// The timers of a resource; they end with it.
class timer_list {
public:
    struct entry {
        timer_list &owner;
        bool repeats;
        std::function<void()> call;
        websocket_timer_t *handle = nullptr; // null: ended
        std::list<std::shared_ptr<entry>>::iterator place{};
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

    // Empty if the server has no timer to give.
    std::weak_ptr<entry> start(std::uint64_t milliseconds, bool repeats,
                               std::function<void()> call)
    {
        // std::make_shared would leave a symbol that keeps a library from
        // being unloaded, unless -fno-gnu-unique is given.
        const std::shared_ptr<entry> made(
            new entry{*this, repeats, std::move(call)});

        made->place = entries_.insert(entries_.end(), made);
        made->handle = server->start_timer(resource_, milliseconds, repeats,
                                           fired, made.get());

        if (made->handle == nullptr) {
            entries_.erase(made->place);
            return {};
        }

        return made;
    }

    static void stop(entry &stopped) noexcept
    {
        server->stop_timer(stopped.handle);
        stopped.owner.forget(stopped);
    }

private:
    void forget(entry &ended) noexcept
    {
        const std::shared_ptr<entry> last = std::move(*ended.place);

        ended.handle = nullptr;
        entries_.erase(ended.place);
    }

    // The call may end its own timer: what it runs in is kept till it is over.
    static void fired(void *data) noexcept
    {
        const std::shared_ptr<entry> own = *static_cast<entry *>(data)->place;
        const websocket_resource_t *resource = own->owner.resource_;

        if (!own->repeats) {
            own->owner.forget(*own);
        }

        completed(resource, "a timer", [&own] { own->call(); });
    }

    websocket_resource_t *resource_;
    std::list<std::shared_ptr<entry>> entries_;
};

// What a resource shares with those who must know whether it is still there.
struct presence {};

// A job for the thread pool: owned by itself from run() to finished(). `owner`
// is gone by then where the resource's constructor has failed.
class background_job {
public:
    background_job(websocket_resource_t *resource,
                   std::weak_ptr<const presence> owner,
                   std::function<void()> work, std::function<void()> done)
        : resource_{resource}, owner_{std::move(owner)}, work_{std::move(work)},
          done_{std::move(done)}
    {}

    // False if no thread takes it.
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
    // In a thread: nothing of the server's may be called, so that an exception
    // waits for the event loop.
    static void work(void *data) noexcept
    {
        auto *own = static_cast<background_job *>(data);

        try {
            own->work_();
        } catch (...) {
            own->thrown_ = std::current_exception();
        }
    }

    static void finished(void *data) noexcept
    {
        const std::unique_ptr<background_job> own(
            static_cast<background_job *>(data));

        completed(own->resource_, "background work", [&own] {
            if (own->thrown_) {
                std::rethrow_exception(own->thrown_);
            }
            if (!own->owner_.expired()) {
                own->done_();
            }
        });
    }

    websocket_resource_t *resource_;
    std::weak_ptr<const presence> owner_;
    std::function<void()> work_;
    std::function<void()> done_;
    std::exception_ptr thrown_;
};

} // namespace detail

} // namespace websocket
