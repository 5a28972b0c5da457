// The resources of one worker: what clients connect to, with the object that
// the handler made for it, its clients, its messages and its timers.
#pragma once

#include "broker/broker.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/core/parameters.hpp"
#include "nginx/resource/postponed_sends.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "protocol/frame.hpp"
#include "protocol/shared_buffer.hpp"
#include "sdk/websocket_plugin.h"

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <string_view>

namespace websocket::nginx {

class membership;

// What the configuration says of the resources of one location; its spans and
// rules live in the configuration's memory.
struct resource_settings {
    parameter_list parameters;
    const broker::history_rules *rules = nullptr; // null: there are none
    broker::history_source source = broker::no_source;
};

// Identifies a resource.
struct resource_id {
    const websocket_handler_t *handler;
    std::string_view key;
};

class resource final : subscriber {
public:
    // The worker's resource, made if need be, and to be held by the caller.
    // Kept for good if `permanent`, else as long as it is held. Null if the
    // handler refuses or there is no memory.
    static resource *get_or_create(resource_id id,
                                   const resource_settings &settings,
                                   bool permanent) noexcept;

    // Makes a resource, asks the handler whether the parameters are right,
    // and drops it. Empty if they are, else what is wrong. Sets `history` to
    // what the resource would keep.
    static std::string check(const websocket_handler_t *handler,
                             parameter_list parameters,
                             broker::limits &history) noexcept;

    // What the broker knows a resource by. Throws std::bad_alloc.
    static std::string log_name(resource_id id);

    // Drops all resources of this worker: it ends.
    static void drop_all() noexcept;

    // Drops those of one handler: its library is about to be unloaded.
    static void drop_by_handler(const websocket_handler_t *handler) noexcept;

    resource(const resource &) = delete;
    resource &operator=(const resource &) = delete;
    ~resource();

    const websocket_handler_t &handler() const noexcept { return handler_; }
    void *object() const noexcept { return object_; }
    std::string_view name() const noexcept { return name_; }
    websocket_text_t parameter(std::string_view name) const noexcept;
    websocket_text_t parameter_name(std::size_t index) const noexcept;

    // Of all workers.
    std::uint64_t client_count() const noexcept;
    // The client behind `after`, or the first; null behind the last.
    membership *next_client(membership *after) const noexcept;

    // delivery.cpp: the resource's messages, which all workers share.

    // Counts one client more in all workers, unless there are `max` (0: no
    // limit), before its handshake is answered. The client gets what is
    // published after `position`. Nothing is delivered until arrive() or
    // give_up() is called, in the same turn of the event loop. The terms are
    // those of the location that the client came to.
    broker::outcome reserve_client(const resource_settings &settings,
                                   std::uint32_t max,
                                   std::uint64_t &position) noexcept;
    void cancel_reservation() noexcept;

    // The handshake was answered. True if all up to its position is delivered:
    // the client may be added now. Else membership::join_in_turn() is called at
    // that point of the delivery, unless withdraw() is before.
    bool confirm_reservation(membership &client) noexcept;
    void withdraw_client(membership &client) noexcept;

    // It gets what is delivered from now on, until remove().
    void add_client(membership &client) noexcept;
    void remove_client(membership &client) noexcept;

    // Puts a message, or something of the module's own, where all workers
    // find it. Returns a result of websocket_plugin.h, and the message's id.
    int publish(const broker::publication &message,
                broker::message_id &id) noexcept;

    // The same, and tells once what has become of it: at once, or later, where
    // it goes to other hosts too. The resource lives until that has returned;
    // while it is made or dropped that is at once.
    using publish_callback = void (*)(void *data, int result,
                                      websocket_message_id_t id);
    void publish(const broker::publication &message, publish_callback on_result,
                 void *data) noexcept;

    // As the first one, where the text is known to be UTF-8, with all that the
    // broker tells. On this host alone.
    broker::append_result append(const broker::publication &message) noexcept;

    // Hands what is new to the clients, and takes what that costs, counted in
    // deliveries, off the budget.
    void deliver(std::size_t &budget) noexcept override;

    // Where there are other hosts: has its messages come here from now on,
    // and keeps it until end_waiting(). A client is admitted in between.
    broker::outcome begin_waiting(const resource_settings &settings) noexcept;
    void end_waiting() noexcept;

    // Whether a client that comes now misses nothing, wherever it was before.
    bool in_sync() const noexcept;

    // Whether this worker has published what it has yet to deliver: what is
    // sent to a client now, or closes it, has to come after that.
    bool has_undelivered_own() const noexcept
    {
        return published_ > delivered_;
    }

    // While there is one, that does not hold: a handler is called for what was
    // delivered just now, and what it sends takes its place there.
    class delivery_scope {
    public:
        explicit delivery_scope(resource &target) noexcept;
        delivery_scope(const delivery_scope &) = delete;
        delivery_scope &operator=(const delivery_scope &) = delete;
        ~delivery_scope();

    private:
        resource &target_;
        std::uint64_t published_before_;
        bool delivering_before_;
    };
    bool delivering() const noexcept { return delivering_; }

    // Takes over what a client is to be sent after that. False: no memory.
    bool postpone(postponed_send *send, membership &client,
                  postponed_list &list) noexcept
    {
        return send != nullptr &&
               postponed_.add(send, client, list, published_);
    }

    // Whether its clients publish faster than this worker delivers.
    bool congested() const noexcept
    {
        return published_ > delivered_ + max_undelivered_own ||
               congested_until_ > delivered_;
    }

    // How often the clients of this worker have published something.
    static inline std::uint64_t publications = 0;

    // How much is kept for clients that come later: while the object is made,
    // at least so much; from then on just that, whatever locations ask for.
    void keep_history(const broker::limits &kept) noexcept;

    // Calls `each` for messages of the history behind `after`, up to what has
    // been delivered here, until it returns other than 0. False if messages
    // behind `after` are not there any more.
    bool read_history(broker::message_id after,
                      int (*each)(void *, const websocket_message_t *),
                      void *data) noexcept;

    // So much of a history was read at once that clients who are sent it had
    // better be sent the rest in later turns.
    static inline bool history_budget_spent = false;

    const broker::limits &history() const noexcept { return history_; }

    // What the broker knows it by.
    std::string_view log_name() const noexcept { return log_name_; }

    // The last message that was delivered here, or is about to be.
    broker::message_id last_message() const noexcept;

    // Who holds a resource keeps it alive: each session does, from its making
    // to its end. The last let_go() ends one that is not permanent.
    void retain() noexcept { refs_++; }
    void release() noexcept;

    // Null when there is no memory, or at configuration time.
    websocket_timer_t *start_timer(ngx_msec_t after, bool repeats,
                                   void (*callback)(void *),
                                   void *data) noexcept;
    static void stop_timer(websocket_timer_t *timer) noexcept;

    // False if no thread takes the job, or at configuration time.
    bool run_in_background(void (*work)(void *), void (*done)(void *),
                           void *data) noexcept;

private:
    // Beyond so many, or a part of websocket_room_memory, the clients that
    // publish are not read for a while.
    static constexpr std::uint64_t max_undelivered_own = 64;

    struct timer;

    resource(resource_id id, const resource_settings &settings, bool permanent);

    void count_own_publication(const broker::publication &message,
                               std::uint64_t position) noexcept;
    void reset_own_publications() noexcept;
    bool create_object() noexcept;
    void end_timers() noexcept;
    void detach_failed() noexcept;
    static void timer_fired(ngx_event_t *event);
    broker::outcome subscribe(const resource_settings &settings) noexcept;
    broker::history_request
    history_request(const resource_settings &settings) const noexcept;
    void update_history_request(const resource_settings &settings) noexcept;
    void release_reservation() noexcept;
    void deliver_again() noexcept;
    void resume_reads() noexcept;
    void advance_to(std::uint64_t position) noexcept;
    void advance_past_loss(std::span<const broker::message> messages,
                           std::uint64_t position) noexcept;
    void log_no_memory(std::size_t size) const noexcept;
    void log_no_memory_for_clients() const noexcept;
    void unsubscribe_unused() noexcept;
    void clients_changed() const noexcept;
    int publish_to_hosts(const broker::publication &message,
                         publish_callback on_result, void *data) noexcept;
    std::size_t dispatch(std::span<const broker::message> messages) noexcept;
    std::size_t dispatch_metered(const broker::message &message) noexcept;
    void dispatch(const broker::message &message) noexcept;
    void send_to_all(const broker::message &message) noexcept;
    void close_all(std::uint16_t code, std::string_view reason) noexcept;
    void report_loss() noexcept;

    const websocket_handler_t &handler_;
    std::string key_; // handler and key, as the worker's table has it
    std::string_view name_;
    std::string log_name_;       // the same for the broker
    resource_settings settings_; // of its creation
    bool permanent_;
    bool config_check_ = false;
    bool constructed_ = false; // from the making of its object to its end
    bool ending_ = false;
    bool detached_ = false; // it has no object, and nobody finds it
    void *object_ = nullptr;
    ngx_queue_t clients_;
    std::size_t counted_ = 0; // clients of this worker that are counted
    std::size_t refs_ = 0;
    broker::subscription subscription_; // while there are clients
    broker::limits requested_history_;  // for a history, by the object itself
    broker::limits history_; // what is kept, as far as it is known here
    broker::history_source last_source_ = broker::no_source; // that has asked
    bool history_fixed_ = false; // the object alone decides
    std::size_t waiting_handshakes_ =
        0; // handshakes, for other hosts' messages

    // Positions in the log: how far this worker has delivered it, and its own
    // last message there.
    std::uint64_t delivered_ = 0;
    std::uint64_t published_ = 0;
    std::uint64_t congested_until_ = 0; // too large a part of its memory
    std::size_t undelivered_size_ = 0;  // of its own, since then
    postponed_queue postponed_;
    std::size_t last_cost_ = 0; // of a message's delivery, the last time
    std::size_t reserved_ = 0;  // admitted, and arrive() was not called yet
    ngx_queue_t joining_;       // clients that wait for their position
    broker::message_id
        delivered_id_;               // the last message before or at delivered_
    bool dispatching_ = false;       // a batch of messages that were read
    bool delivering_ = false;        // see delivery_scope
    bool delivery_deferred_ = false; // there may be news: see admit()
    std::list<timer> timers_;
};

} // namespace websocket::nginx
