// Asks sentinels for the master, and listens to their announcements.
#include "nginx/redis_io/sentinel.hpp"

#include "nginx/redis_io/replies.hpp"
#include "sdk/websocket_text.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <span>
#include <utility>

namespace websocket::nginx {

namespace {

// A younger answer is not asked for again, except after an announcement.
constexpr ngx_msec_t answer_lifetime = 2000;

// A sentinel without a reply for command_timeout is lost. So the subscription
// is repeated at this interval.
constexpr ngx_msec_t keepalive_interval = 5000;

// A log line has the faults of all sentinels.
constexpr std::size_t max_fault_size = 100;

constexpr std::string_view announcements = "+switch-master";

// The value of a field in a list of names and values.
std::string_view value_in(std::span<redisReply *const> fields,
                          std::string_view name) noexcept
{
    for (std::size_t i = 0; i + 1 < fields.size(); i += 2) {
        if (text_in(fields[i]) == name) {
            return text_in(fields[i + 1]);
        }
    }

    return {};
}

} // namespace

sentinel_link::sentinel_link(const redis_settings &settings,
                             const redis_target &target,
                             listener &holder) noexcept
    : settings_{settings}, target_{target}, listener_{holder},
      connection_{settings, target, *this, redis_connection::role::sentinel}
{
    keepalive_.data = this;
    keepalive_.handler = on_keepalive;
    keepalive_.log = ngx_cycle->log;
    keepalive_.cancelable = 1; // must not delay graceful shutdown
    ngx_add_timer(&keepalive_, keepalive_interval);
    connection_.open();
}

sentinel_link::~sentinel_link()
{
    ngx_del_timer(&keepalive_);
}

void sentinel_link::ask() noexcept
{
    if (asking_) {
        return;
    }

    if (!connection_.ready()) {
        asking_ = true;
        connection_.retry_now();

    } else if (ngx_current_msec - answered_at_ >= answer_lifetime) {
        ask_again();
    }
}

// A connection that has subscribed cannot ask: a new one does.
void sentinel_link::ask_again() noexcept
{
    asking_ = again_ = true;
    connection_.reconnect("asking again");
}

std::string sentinel_link::describe() const
{
    return target_.name + ": " +
           (asking_            ? "no answer"
            : masters_.empty() ? fault_
                               : "the master is " + masters_[0].text);
}

// The subscription comes last: commands cannot follow, and an announcement
// after the answer is not missed.
void sentinel_link::on_redis_ready() noexcept
{
    const std::string_view master = settings_.server.address.master;
    const std::string_view address[] = {"SENTINEL", "get-master-addr-by-name",
                                        master};
    const std::string_view details[] = {"SENTINEL", "MASTER", master};

    if (!connection_.command(address, on_address, this) ||
        !connection_.command(details, on_details, this) || !subscribe()) {
        connection_.restart("no memory");
    }
}

void sentinel_link::on_redis_lost(std::string_view reason) noexcept
{
    masters_.clear();
    lookup_.cancel();
    asking_ = false;
    set_fault(reason);

    if (std::exchange(again_, false)) {
        ask();
    }

    listener_.on_answer(false);
}

bool sentinel_link::subscribe() noexcept
{
    const std::string_view args[] = {"SUBSCRIBE", announcements};

    return connection_.command(args, on_announcement, this);
}

void sentinel_link::set_fault(std::string_view text) noexcept
try {
    fault_ = text.substr(0, max_fault_size);
    std::replace_if(
        fault_.begin(), fault_.end(),
        [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
} catch (const std::bad_alloc &) {
    fault_.clear();
}

void sentinel_link::on_address(void *data, const redisReply *reply) noexcept
{
    auto &self = *static_cast<sentinel_link *>(data);

    if (reply != nullptr) {
        self.with_oom_restart([&] { self.read_address(reply); });
    }
}

void sentinel_link::read_address(const redisReply *reply)
{
    const auto parts = list_in(reply);
    const auto port = detail::decimal(parts.size() == 2 ? text_in(parts[1])
                                                        : std::string_view{});

    master_ = {};

    if (const auto error = error_in(reply); !error.empty()) {
        set_fault(error);
    } else if (!port || *port > 65535) {
        set_fault("it knows no master of this name");
    } else {
        master_.host = text_in(parts[0]);
        master_.port = static_cast<std::uint16_t>(*port);
    }
}

void sentinel_link::on_details(void *data, const redisReply *reply) noexcept
{
    auto &self = *static_cast<sentinel_link *>(data);

    if (reply != nullptr) {
        self.epoch_ = detail::decimal(value_in(list_in(reply), "config-epoch"))
                          .value_or(0);
        self.with_oom_restart([&] { self.find_peers_of_master(); });
    }
}

// Sentinels can be configured to answer with names of hosts.
void sentinel_link::find_peers_of_master()
{
    const std::unique_ptr<ngx_pool_t, decltype(&ngx_destroy_pool)> pool{
        ngx_create_pool(1024, ngx_cycle->log), ngx_destroy_pool};
    std::vector<redis_peer> peers;
    std::string reason;

    if (pool == nullptr) {
        throw std::bad_alloc();
    }

    if (master_.host.empty()) {
        finish({});

    } else if (find_peers(pool.get(), master_, false, peers, reason) &&
               !peers.empty()) {
        finish(std::move(peers));

    } else if (settings_.resolver != nullptr) {
        lookup_.start(settings_, master_, on_resolved, this);

    } else {
        set_fault("no resolver for the master " + master_.name());
        finish({});
    }
}

void sentinel_link::on_resolved(void *data, std::vector<redis_peer> *peers,
                                std::string_view reason) noexcept
{
    auto &self = *static_cast<sentinel_link *>(data);

    self.with_oom_restart([&] {
        if (peers != nullptr) {
            self.finish(std::move(*peers));
            return;
        }

        self.set_fault("cannot resolve the master " + self.master_.name() +
                       ": " + std::string(reason));
        self.finish({});
    });
}

void sentinel_link::finish(std::vector<redis_peer> peers)
{
    for (redis_peer &each : peers) {
        redis::server_address address;

        address.host = each.text;
        address.port = master_.port;
        each.text = address.name();
        each.epoch = epoch_;
    }

    const bool changed =
        !peers.empty() && (peers[0].text != named_ || epoch_ != named_epoch_);

    if (changed) {
        named_ = peers[0].text;
        named_epoch_ = epoch_;
    }

    masters_ = std::move(peers);
    asking_ = false;
    answered_at_ = ngx_current_msec;
    listener_.on_answer(changed);
}

// The text of an announcement begins with the name of the master.
void sentinel_link::on_announcement(void *data,
                                    const redisReply *reply) noexcept
{
    auto &self = *static_cast<sentinel_link *>(data);
    const auto parts = list_in(reply);

    if (parts.size() == 3 && text_in(parts[0]) == "message" &&
        text_in(parts[2]).starts_with(self.settings_.server.address.master)) {
        self.ask_again();
    }
}

void sentinel_link::on_keepalive(ngx_event_t *event) noexcept
{
    (void)static_cast<sentinel_link *>(event->data)->subscribe();
    ngx_add_timer(event, keepalive_interval);
}

std::shared_ptr<sentinel_group>
sentinel_group::of(const redis_settings &settings)
{
    static std::weak_ptr<sentinel_group> last;
    std::shared_ptr<sentinel_group> group = last.lock();

    if (group == nullptr || &group->settings_ != &settings) {
        group = std::make_shared<sentinel_group>(settings);
        last = group;
    }

    return group;
}

sentinel_group::sentinel_group(const redis_settings &settings)
    : settings_{settings}
{
    sentinel_link::listener &self = *this;

    for (const redis_target &each : settings.sentinels) {
        links_.push_back(std::make_unique<sentinel_link>(settings, each, self));
    }
}

void sentinel_group::remove(ngx_event_t &event) noexcept
{
    std::erase(events_, &event);

    if (event.posted) {
        ngx_delete_posted_event(&event);
    }
}

void sentinel_group::ask() noexcept
{
    for (const auto &each : links_) {
        each->ask();
    }
}

bool sentinel_group::asking() const noexcept
{
    return std::ranges::any_of(links_,
                               [](const auto &each) { return each->asking(); });
}

std::vector<redis_peer> sentinel_group::masters() const
{
    std::vector<redis_peer> all;
    std::vector<redis_peer> found;

    for (const auto &each : links_) {
        all.insert(all.end(), each->masters().begin(), each->masters().end());
    }

    std::ranges::stable_sort(all, std::greater{}, &redis_peer::epoch);

    for (redis_peer &each : all) {
        if (std::ranges::find(found, each.text, &redis_peer::text) ==
            found.end()) {
            found.push_back(std::move(each));
        }
    }

    return found;
}

std::string sentinel_group::describe() const
{
    std::string text = "sentinels: ";

    for (const auto &each : links_) {
        text += each->describe() + "; ";
    }

    text.resize(text.size() - 2);
    return text;
}

void sentinel_group::on_answer(bool changed) noexcept
{
    version_ += changed ? 1 : 0;

    for (ngx_event_t *each : events_) {
        ngx_post_event(each, &ngx_posted_events);
    }
}

} // namespace websocket::nginx
