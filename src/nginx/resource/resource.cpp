// Resources: found by handler and key, made for the first client, dropped
// after the last.
#include "nginx/resource/resource.hpp"

#include "nginx/resource/background.hpp"
#include "nginx/resource/membership.hpp"
#include "nginx/workers/worker_bus.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <new>
#include <unordered_map>

namespace websocket::nginx {

namespace {

// Longer than a worker lives; nginx's sum of it and the time must not overflow.
constexpr ngx_msec_t longest_time = NGX_MAX_INT_T_VALUE / 4;

// Keys of different handlers are different resources. Each load of a library
// makes handlers of its own.
std::string index_of(const resource::identity &known)
{
    const auto handler = reinterpret_cast<std::uintptr_t>(known.handler);
    std::string index(sizeof handler, '\0');

    std::memcpy(index.data(), &handler, sizeof handler);
    return index.append(known.key);
}

std::unordered_map<std::string, std::unique_ptr<resource>> resources;

} // namespace

struct resource::timer {
    resource &owner;
    ngx_msec_t period;
    bool repeats;
    void (*fired)(void *);
    void *data;
    ngx_event_t event{};
    std::list<timer>::iterator place{};
};

resource::resource(identity known, const resource_terms &terms, bool permanent)
    : handler_{*known.handler}, index_{index_of(known)},
      name_{std::string_view(index_).substr(sizeof(std::uintptr_t))},
      log_name_{log_name(known)}, terms_{terms}, permanent_{permanent}
{
    if (terms.rules != nullptr) {
        history_ = terms.rules->of(terms.source);
    }

    ngx_queue_init(&clients_);
    ngx_queue_init(&arriving_);
}

resource::~resource()
{
    alive_ = false;
    ending_ = true;

    if (object_ != nullptr && handler_.resource_destroyed != nullptr) {
        handler_.resource_destroyed(object_);
    }

    end_timers();

    if (subscription_) {
        worker_bus::broker().unsubscribe(subscription_, worker_bus::now());
    }
}

void resource::end_timers() noexcept
{
    for (timer &left : timers_) {
        if (left.event.timer_set) {
            ngx_del_timer(&left.event);
        }
    }

    timers_.clear();
}

bool resource::make_object() noexcept
{
    object_ = handler_.resource_created(
        reinterpret_cast<websocket_resource_t *>(this));
    return object_ != nullptr;
}

resource *resource::find_or_make(identity known, const resource_terms &terms,
                                 bool permanent) noexcept
try {
    const auto [place, fresh] = resources.try_emplace(index_of(known));

    if (!fresh) {
        return place->second.get();
    }

    try {
        place->second.reset(new resource(known, terms, permanent));
    } catch (const std::bad_alloc &) {}

    if (!place->second || !place->second->make_object()) {
        std::unique_ptr<resource> failed = std::move(place->second);

        resources.erase(place);

        if (failed && failed->holders_ != 0) {
            failed.release()->orphan();
        }

        return nullptr;
    }

    place->second->alive_ = true;
    return place->second.get();

} catch (const std::bad_alloc &) {
    return nullptr;
}

std::string resource::check(const websocket_handler_t *handler,
                            parameter_list parameters,
                            broker::limits &history) noexcept
try {
    resource made({handler, {}}, {.parameters = parameters}, false);
    made.checked_only_ = true;

    if (!made.make_object()) {
        return "the handler could not make a resource";
    }

    history = made.history_;

    if (handler->configured == nullptr) {
        return parameters.empty() ? "" : "the handler takes no parameters";
    }

    const char *wrong = handler->configured(made.object_);
    return wrong == nullptr ? "" : wrong;

} catch (const std::bad_alloc &) {
    return "out of memory";
}

std::string resource::log_name(identity known)
{
    return std::string(known.handler->name).append(":").append(known.key);
}

void resource::drop_all() noexcept
{
    for (auto &known : resources) {
        if (background::at_work_for(*known.second)) {
            (void)known.second.release(); // it ends with the process
        }
    }

    resources.clear();
}

void resource::drop_all_of(const websocket_handler_t *handler) noexcept
{
    std::erase_if(resources, [handler](const auto &known) {
        return &known.second->handler() == handler;
    });
}

websocket_text_t resource::parameter(std::string_view name) const noexcept
{
    return find_parameter(terms_.parameters, name);
}

websocket_text_t resource::parameter_name(std::size_t place) const noexcept
{
    if (place >= terms_.parameters.size()) {
        return {nullptr, 0};
    }

    const std::string_view name = terms_.parameters[place].name;
    return {name.data(), name.size()};
}

membership *resource::next_client(membership *after) const noexcept
{
    ngx_queue_t *next = after == nullptr ? ngx_queue_head(&clients_)
                                         : ngx_queue_next(after->link());

    return next == ngx_queue_sentinel(&clients_) ? nullptr
                                                 : membership::from_link(next);
}

void resource::let_go() noexcept
{
    if (--holders_ != 0) {
        return;
    }

    if (orphaned_) {
        delete this;
    } else if (!permanent_) {
        resources.erase(resources.find(index_));
    }
}

// Its object could not be made, and has begun something before it failed.
void resource::orphan() noexcept
{
    orphaned_ = true;
    end_timers();
}

websocket_timer_t *resource::start_timer(ngx_msec_t after, bool repeats,
                                         void (*fired)(void *),
                                         void *data) noexcept
try {
    if (checked_only_) {
        return nullptr;
    }

    timers_.push_back({.owner = *this,
                       .period = std::clamp<ngx_msec_t>(after, 1, longest_time),
                       .repeats = repeats,
                       .fired = fired,
                       .data = data});
    timer &made = timers_.back();

    made.place = std::prev(timers_.end());
    made.event.handler = timer_fired;
    made.event.data = &made;
    made.event.log = ngx_cycle->log;
    made.event.cancelable = 1; // it does not keep a leaving worker
    ngx_add_timer(&made.event, made.period);

    return reinterpret_cast<websocket_timer_t *>(&made);

} catch (const std::bad_alloc &) {
    return nullptr;
}

// The callback may stop its own timer.
void resource::timer_fired(ngx_event_t *event)
{
    auto &own = *static_cast<timer *>(event->data);
    const auto fired = own.fired;
    void *data = own.data;

    if (own.repeats) {
        ngx_add_timer(event, own.period);
    } else {
        own.owner.timers_.erase(own.place);
    }

    fired(data);
}

void resource::stop_timer(websocket_timer_t *timer) noexcept
{
    auto &own = *reinterpret_cast<struct timer *>(timer);

    if (own.event.timer_set) {
        ngx_del_timer(&own.event);
    }

    own.owner.timers_.erase(own.place);
}

} // namespace websocket::nginx
