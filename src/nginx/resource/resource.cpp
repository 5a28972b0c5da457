// Finds, creates and destroys resources, and runs their timers.
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

// nginx's sum of this and the current time must not overflow.
constexpr ngx_msec_t max_timer_time = NGX_MAX_INT_T_VALUE / 4;

// The address of the handler and the key, until the next call. Each load of a
// library has its own handlers. The text needs no memory for a key that it had
// before: a resource that exists is found without memory.
const std::string &table_key(const resource_id &id)
{
    static std::string key;
    const auto handler = reinterpret_cast<std::uintptr_t>(id.handler);

    key.resize(sizeof handler);
    std::memcpy(key.data(), &handler, sizeof handler);
    return key.append(id.key);
}

std::unordered_map<std::string, std::unique_ptr<resource>> resources;

} // namespace

struct resource::timer {
    resource &owner;
    ngx_msec_t period;
    bool repeats;
    void (*callback)(void *);
    void *data;
    ngx_event_t event{};
    std::list<timer>::iterator it{};
};

resource::resource(resource_id id, const resource_settings &settings,
                   bool permanent)
    : handler_{*id.handler}, key_{table_key(id)},
      name_{std::string_view(key_).substr(sizeof(std::uintptr_t))},
      log_name_{log_name(id)}, settings_{settings}, permanent_{permanent}
{
    if (settings.rules != nullptr) {
        history_ = broker::larger(settings.rules->of(settings.source),
                                  settings.rules->of_name(name_));
    }

    ngx_queue_init(&clients_);
    ngx_queue_init(&subscribers_);
    ngx_queue_init(&joining_);
}

resource::~resource()
{
    constructed_ = false;
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
    for (timer &each : timers_) {
        if (each.event.timer_set) {
            ngx_del_timer(&each.event);
        }
    }

    timers_.clear();
}

bool resource::create_object() noexcept
{
    object_ = handler_.resource_created(
        reinterpret_cast<websocket_resource_t *>(this));
    return object_ != nullptr;
}

resource *resource::get_or_create(resource_id id,
                                  const resource_settings &settings,
                                  bool permanent) noexcept
try {
    const auto [it, created] = resources.try_emplace(table_key(id));

    if (!created) {
        return it->second.get();
    }

    try {
        it->second.reset(new resource(id, settings, permanent));
    } catch (const std::bad_alloc &) {}

    if (!it->second || !it->second->create_object()) {
        std::unique_ptr<resource> failed = std::move(it->second);

        resources.erase(it);

        if (failed && failed->refs_ != 0) {
            failed.release()->detach_failed();
        }

        return nullptr;
    }

    it->second->constructed_ = true;
    return it->second.get();

} catch (const std::bad_alloc &) {
    return nullptr;
}

resource *resource::find(resource_id id) noexcept
try {
    const auto it = resources.find(table_key(id));

    return it == resources.end() ? nullptr : it->second.get();

} catch (const std::bad_alloc &) {
    return nullptr;
}

std::string resource::check(const websocket_handler_t *handler,
                            parameter_list parameters,
                            broker::limits &history) noexcept
try {
    resource checked({handler, {}}, {.parameters = parameters}, false);
    checked.config_check_ = true;

    if (!checked.create_object()) {
        return "the handler failed to create a resource";
    }

    history = checked.history_;

    if (handler->check_parameters == nullptr) {
        return parameters.empty() ? "" : "the handler takes no parameters";
    }

    const char *error = handler->check_parameters(checked.object_);
    return error == nullptr ? "" : error;

} catch (const std::bad_alloc &) {
    return "out of memory";
}

std::string resource::log_name(resource_id id)
{
    return std::string(id.handler->name).append(":").append(id.key);
}

void resource::drop_all() noexcept
{
    for (auto &entry : resources) {
        if (background::has_running_job(*entry.second)) {
            (void)entry.second
                .release(); // a thread uses it until the process exits
        }
    }

    resources.clear();
}

void resource::drop_by_handler(const websocket_handler_t *handler) noexcept
{
    std::erase_if(resources, [handler](const auto &entry) {
        return &entry.second->handler() == handler;
    });
}

websocket_text_t resource::parameter(std::string_view name) const noexcept
{
    return find_parameter(settings_.parameters, name);
}

websocket_text_t resource::parameter_name(std::size_t index) const noexcept
{
    if (index >= settings_.parameters.size()) {
        return {nullptr, 0};
    }

    const std::string_view name = settings_.parameters[index].name;
    return {name.data(), name.size()};
}

membership *resource::next_client(membership *after) const noexcept
{
    ngx_queue_t *next = after == nullptr ? ngx_queue_head(&clients_)
                                         : ngx_queue_next(after->link());

    if (next == ngx_queue_sentinel(&clients_)) {
        return next_subscriber(nullptr);
    }

    return next == ngx_queue_sentinel(&subscribers_)
               ? nullptr
               : membership::from_link(next);
}

void resource::release() noexcept
{
    if (--refs_ != 0) {
        return;
    }

    if (detached_) {
        delete this;
    } else if (!permanent_) {
        resources.erase(resources.find(key_));
    }
}

// The handler's object could not be created, but has started jobs that refer to
// this resource.
void resource::detach_failed() noexcept
{
    detached_ = true;
    end_timers();
}

websocket_timer_t *resource::start_timer(ngx_msec_t after, bool repeats,
                                         void (*callback)(void *),
                                         void *data) noexcept
try {
    if (config_check_) {
        return nullptr;
    }

    timers_.push_back(
        {.owner = *this,
         .period = std::clamp<ngx_msec_t>(after, 1, max_timer_time),
         .repeats = repeats,
         .callback = callback,
         .data = data});
    timer &created = timers_.back();

    created.it = std::prev(timers_.end());
    created.event.handler = timer_fired;
    created.event.data = &created;
    created.event.log = ngx_cycle->log;
    created.event.cancelable = 1; // must not delay graceful shutdown
    ngx_add_timer(&created.event, created.period);

    return reinterpret_cast<websocket_timer_t *>(&created);

} catch (const std::bad_alloc &) {
    return nullptr;
}

// The callback may stop its own timer, and end the last subscription.
void resource::timer_fired(ngx_event_t *event)
{
    auto &self = *static_cast<timer *>(event->data);
    resource &owner = self.owner;
    const auto callback = self.callback;
    void *data = self.data;

    if (self.repeats) {
        ngx_add_timer(event, self.period);
    } else {
        owner.timers_.erase(self.it);
    }

    owner.retain();
    callback(data);
    owner.release();
}

void resource::stop_timer(websocket_timer_t *timer) noexcept
{
    auto &self = *reinterpret_cast<struct timer *>(timer);

    if (self.event.timer_set) {
        ngx_del_timer(&self.event);
    }

    self.owner.timers_.erase(self.it);
}

} // namespace websocket::nginx
