// The resources of a worker. A resource has the handler's object, clients,
// messages and timers.
#pragma once

#include "broker/broker.hpp"
#include "nginx/core/nginx_headers.hpp"
#include "nginx/core/parameters.hpp"
#include "nginx/resource/membership.hpp"
#include "nginx/resource/postponed_sends.hpp"
#include "nginx/resource/subscription_memory.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "protocol/frames/frame.hpp"
#include "protocol/frames/shared_buffer.hpp"
#include "sdk/websocket_plugin.h"

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <string_view>

namespace websocket::nginx {

// The settings of a location for its resource. Spans and rules are in the
// configuration's pool.
struct resource_settings {
    parameter_list parameters;
    const broker::history_rules *rules = nullptr; // null: none
    broker::history_source source = broker::no_source;
};

// Identifies a resource.
struct resource_id {
    const websocket_handler_t *handler;
    std::string_view key;
};

class resource final : subscriber {
public:
    // Returns the worker's resource, which is created if absent. The caller
    // must retain it, unless `permanent`: then it lives as long as the worker.
    // Null if the handler rejects it or there is no memory.
    static resource *get_or_create(resource_id id,
                                   const resource_settings &settings,
                                   bool permanent) noexcept;

    // The worker's resource; null: there is none.
    static resource *find(resource_id id) noexcept;

    // Checks parameters with a temporary resource. Returns "" or an error. Sets
    // `history` to the limits that the resource would use.
    static std::string check(const websocket_handler_t *handler,
                             parameter_list parameters,
                             broker::limits &history) noexcept;

    // The name of the resource's log in the broker. Throws std::bad_alloc.
    static std::string log_name(resource_id id);

    // Destroys all resources: the worker exits.
    static void drop_all() noexcept;

    // Destroys the resources of a handler whose library will be unloaded.
    static void drop_by_handler(const websocket_handler_t *handler) noexcept;

    resource(const resource &) = delete;
    resource &operator=(const resource &) = delete;
    ~resource();

    const websocket_handler_t &handler() const noexcept { return handler_; }
    void *object() const noexcept { return object_; }
    std::string_view name() const noexcept { return name_; }
    websocket_text_t parameter(std::string_view name) const noexcept;
    websocket_text_t parameter_name(std::size_t index) const noexcept;

    // Over all workers and hosts.
    std::uint64_t client_count() const noexcept;
    // The client after `after` (null: the first), or null after the last: those
    // that have connected to the resource, then those subscribed to it.
    membership *next_client(membership *after) const noexcept;

    // The same, without the former.
    membership *next_subscriber(membership *after) const noexcept
    {
        ngx_queue_t *next = after == nullptr ? ngx_queue_head(&subscribers_)
                                             : ngx_queue_next(after->link());

        return next == ngx_queue_sentinel(&subscribers_)
                   ? nullptr
                   : membership::from_link(next);
    }

    // Counts one more client over all workers, at most `max` (0: no limit),
    // before its handshake is answered. The client gets messages published
    // after `position`. Delivery pauses until confirm_reservation() or
    // cancel_reservation() is called, in the same turn of the event loop. The
    // settings are those of the client's location.
    broker::outcome reserve_client(const resource_settings &settings,
                                   std::uint32_t max,
                                   std::uint64_t &position) noexcept;
    void cancel_reservation() noexcept;

    // The handshake was answered. Returns true if the log is delivered up to
    // the client's position: the client may be added now. Otherwise the
    // resource calls on_join_position() when it is, unless withdraw_client() is
    // called.
    bool confirm_reservation(membership &client) noexcept;
    void withdraw_client(membership &client) noexcept;

    // The memory of its subscriptions.
    subscription_memory &subscription_places() noexcept
    {
        return subscription_places_;
    }

    // The client gets messages delivered from now on, until remove_client().
    void add_client(membership &client) noexcept;
    void remove_client(membership &client) noexcept;

    // Publishes a message, or an event of the module, to all workers. `user`:
    // of the client that publishes it; empty: none. Returns a result of
    // websocket_plugin.h and the message's id.
    int publish(const broker::publication &message, std::string_view user,
                broker::message_id &id) noexcept;

    // The same, and calls `on_result` exactly once: before it returns or, with
    // Redis, later. The resource is retained until then. While the resource is
    // constructed or destroyed the call is immediate. `data` refers to
    // `callback_bytes`.
    using publish_callback = void (*)(void *data, int result,
                                      websocket_message_id_t id);
    void publish(const broker::publication &message, std::string_view user,
                 publish_callback on_result, void *data,
                 std::size_t callback_bytes) noexcept;

    // Appends a message to the log of this host. Text must be UTF-8.
    broker::append_result append(const broker::publication &message) noexcept;

    // Dispatches unread messages, and subtracts their cost from the budget. The
    // unit is one delivery to one client.
    void deliver(std::size_t &budget) noexcept override;

    // With Redis: subscribes to the log and retains the resource until
    // end_waiting(). The client is reserved in between.
    broker::outcome begin_waiting(const resource_settings &settings) noexcept;
    void end_waiting() noexcept;

    // True if a client that connects now misses no message, whichever host it
    // was connected to before.
    bool in_sync() const noexcept;

    // True if this worker has undelivered publications of its own: sends and
    // Closes must follow them.
    bool has_undelivered_own() const noexcept
    {
        return published_ > delivered_;
    }

    // Suspends that while a handler is called for a delivered message: its
    // sends follow that message.
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

    // Takes ownership of a send until those publications are delivered. False
    // if there is no memory.
    bool postpone(postponed_send *send, membership &client,
                  postponed_list &list) noexcept
    {
        return send != nullptr &&
               postponed_.add(send, client, list, published_);
    }

    // True if its clients publish faster than this worker delivers.
    bool congested() const noexcept
    {
        return published_ > delivered_ + max_undelivered_own ||
               congested_until_ > delivered_;
    }

    // The number of publications of this worker, and the resource of the last
    // one, to be compared only.
    static inline std::uint64_t publications = 0;
    static inline const resource *last_publisher = nullptr;

    // The payload bytes that deliveries have queued for clients of this worker.
    static inline std::uint64_t queued_bytes = 0;

    // Sets the history limits. While the handler's object is constructed, this
    // is a minimum; later it replaces the limits of all locations.
    void keep_history(const broker::limits &kept) noexcept;

    // Calls `each` for messages of the history after `after`, up to the last
    // one delivered here, until it returns non-zero. Returns false if messages
    // after `after` are no longer kept.
    bool read_history(broker::message_id after,
                      int (*each)(void *, const websocket_message_t *),
                      void *data) noexcept;

    // True if read_history() has read so much that sends should continue in
    // later turns.
    static inline bool history_budget_spent = false;

    const broker::limits &history() const noexcept { return history_; }

    // The name of its log.
    std::string_view log_name() const noexcept { return log_name_; }

    // The last message that was delivered here, or is being delivered.
    broker::message_id last_message() const noexcept;

    // References. Each session has one. The last release() destroys a resource
    // that is not permanent.
    // Whether the handler's object is complete, and will be for this event.
    bool constructed() const noexcept { return constructed_; }

    void retain() noexcept { refs_++; }
    void release() noexcept;

    // Null if there is no memory, or during a parameter check.
    websocket_timer_t *start_timer(ngx_msec_t after, bool repeats,
                                   void (*callback)(void *),
                                   void *data) noexcept;
    static void stop_timer(websocket_timer_t *timer) noexcept;

    // False if the job is rejected.
    bool run_in_background(void (*work)(void *), void (*done)(void *),
                           void *data) noexcept;

private:
    // Beyond this number, or a part of websocket_room_memory, reading from
    // publishing clients pauses.
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
                         publish_callback on_result, void *data,
                         std::size_t callback_bytes) noexcept;
    std::size_t dispatch(std::span<const broker::message> messages) noexcept;
    std::size_t dispatch_metered(const broker::message &message) noexcept;
    void dispatch(const broker::message &message) noexcept;
    void send_to_all(const broker::message &message) noexcept;
    void close_all(std::uint16_t code, std::string_view reason) noexcept;
    void report_loss() noexcept;

    const websocket_handler_t &handler_;
    std::string key_; // handler and key, in the table of resources
    std::string_view name_;
    std::string log_name_;       // in the broker
    resource_settings settings_; // of its creation
    bool permanent_;
    bool config_check_ = false;
    bool constructed_ = false; // and not yet being destroyed
    bool ending_ = false;
    bool detached_ = false; // creation failed, but jobs refer to it
    void *object_ = nullptr;
    ngx_queue_t clients_;
    ngx_queue_t subscribers_;
    subscription_memory subscription_places_;
    std::size_t counted_ = 0; // clients of this worker in the broker
    std::size_t refs_ = 0;
    broker::subscription subscription_; // while there are clients
    broker::limits requested_history_;  // by the object itself
    broker::limits history_;            // last known limits
    broker::history_source last_source_ = broker::no_source; // of a request
    bool history_fixed_ = false; // by the object, later
    std::size_t waiting_handshakes_ =
        0; // handshakes, for other hosts' messages

    // Positions in the log: delivered by this worker up to, and its own last
    // publication
    std::uint64_t delivered_ = 0;
    std::uint64_t published_ = 0;
    std::uint64_t congested_until_ = 0; // too much of its memory
    std::size_t undelivered_size_ = 0;  // of its own, bytes
    postponed_queue postponed_;
    std::size_t last_cost_ = 0; // of a message's delivery
    std::size_t reserved_ = 0;  // not yet confirmed or cancelled
    ngx_queue_t joining_;       // clients that wait for their position
    broker::message_id
        delivered_id_;               // the last message before or at delivered_
    bool dispatching_ = false;       // a batch of messages
    bool delivering_ = false;        // see delivery_scope
    bool delivery_deferred_ = false; // see reserve_client()
    std::list<timer> timers_;
};

} // namespace websocket::nginx
