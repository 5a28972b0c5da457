// The resources of one worker: what clients connect to, with the object that
// the handler made for it, its clients and its timers.
#pragma once

#include "nginx/nginx_headers.hpp"
#include "protocol/frame.hpp"
#include "sdk/websocket_plugin.h"

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <string_view>

namespace websocket::nginx {

class session;

// One name=value of a directive `websocket`, in the configuration's memory.
struct named_value {
    std::string_view name;
    std::string_view value;
};
using parameter_list = std::span<const named_value>;

class resource {
public:
    // What a resource is known by.
    struct identity {
        const websocket_handler_t *handler;
        std::string_view key;
    };

    // The worker's resource, made if need be, and to be held by the caller.
    // Kept for good if `permanent`, else as long as it is held. Null if the
    // handler refuses or there is no memory.
    static resource *find_or_make(identity known, parameter_list parameters,
                                  bool permanent) noexcept;

    // Makes a resource, asks the handler whether the parameters are right,
    // and drops it. Empty if they are, else what is wrong.
    static std::string check(const websocket_handler_t *handler,
                             parameter_list parameters) noexcept;

    // Drops all resources of this worker: it ends.
    static void drop_all() noexcept;

    // Drops those of one handler: its library is about to be unloaded.
    static void drop_all_of(const websocket_handler_t *handler) noexcept;

    resource(const resource &) = delete;
    resource &operator=(const resource &) = delete;
    ~resource();

    const websocket_handler_t &handler() const noexcept { return handler_; }
    void *object() const noexcept { return object_; }
    std::string_view name() const noexcept { return name_; }
    websocket_text_t parameter(std::string_view name) const noexcept;

    void add(session &client) noexcept;
    void remove(session &client) noexcept;
    std::size_t client_count() const noexcept { return client_count_; }
    // The client behind `after`, or the first; null behind the last.
    session *next_client(session *after) const noexcept;
    // Returns a result of websocket_plugin.h.
    int broadcast(protocol::opcode kind,
                  std::span<const std::byte> payload) noexcept;

    // Who holds a resource keeps it alive: each session does, from its making
    // to its end. The last let_go() ends one that is not permanent.
    void hold() noexcept { holders_++; }
    void let_go() noexcept;

    // Null when there is no memory, or at configuration time.
    websocket_timer_t *start_timer(ngx_msec_t after, bool repeats,
                                   void (*fired)(void *), void *data) noexcept;
    static void stop_timer(websocket_timer_t *timer) noexcept;

    // False if no thread takes the job, or at configuration time.
    bool run_in_background(void (*work)(void *), void (*done)(void *),
                           void *data) noexcept;

private:
    struct timer;

    resource(identity known, parameter_list parameters, bool permanent);

    bool make_object() noexcept;
    static void timer_fired(ngx_event_t *event);

    const websocket_handler_t &handler_;
    std::string index_; // handler and key, as the worker's table has it
    std::string_view name_;
    parameter_list parameters_;
    bool permanent_;
    bool checked_only_ = false;
    void *object_ = nullptr;
    ngx_queue_t clients_;
    std::size_t client_count_ = 0;
    std::size_t holders_ = 0;
    std::list<timer> timers_;
};

} // namespace websocket::nginx
