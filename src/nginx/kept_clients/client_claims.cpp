// Looks for hosts that have died, one shard after the other, and takes their
// clients.
//
// First the clients get notes, so that they survive this worker; then Redis
// gives them to the host that asks first. The notes of the others are removed.
#include "nginx/kept_clients/client_claims.hpp"

#include "nginx/backplane/backplane.hpp"
#include "nginx/core/log_line.hpp"
#include "nginx/core/log_throttle.hpp"
#include "nginx/core/timer.hpp"
#include "nginx/events/client_record.hpp"
#include "nginx/kept_clients/client_register.hpp"
#include "nginx/redis_io/script_runner.hpp"
#include "nginx/workers/worker_bus.hpp"
#include "sdk/websocket_text.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace websocket::nginx::backend {

namespace {

constexpr ngx_msec_t second = 1000;

// Leases are renewed after so many seconds.
constexpr unsigned seconds_between_renewals = 2;

// So many shards are looked at in a second.
constexpr unsigned looks_per_second = 2;

// Longer than a call of Redis, or a turn of the event loop, takes in good
// times.
constexpr ngx_msec_t patience = 2000;

ngx_msec_t since(ngx_msec_t moment) noexcept
{
    return ngx_current_msec - moment;
}

} // namespace

client_claims &client_claims::instance() noexcept
{
    static client_claims of_this_worker;

    return of_this_worker;
}

void client_claims::start(ngx_cycle_t *cycle) noexcept
{
    last_second_ = ngx_current_msec;
    init_timer(second_, on_second, cycle->log);
    ngx_add_timer(&second_, second);
}

bool client_claims::stood_still() const noexcept
{
    return since(last_second_) >= client_lease;
}

void client_claims::on_shard_ready(unsigned shard) noexcept
{
    steady_since_[shard] = ngx_current_msec;
}

bool client_claims::is_steady(unsigned shard) const noexcept
{
    return since(steady_since_[shard]) >= client_lease;
}

// Redis, or this host, has just stood still: the others may not have been able
// to renew their leases either.
void client_claims::doubt() noexcept
{
    const ngx_msec_t now = ngx_current_msec;

    steady_since_.fill(now);
}

void client_claims::on_second(ngx_event_t *event)
try {
    client_claims &self = instance();
    shard_router *redis = backplane::router();

    ngx_add_timer(event, second);

    if (since(self.last_second_) > patience ||
        (self.looking_ != 0 && since(self.looked_at_) > patience)) {
        self.doubt();
    }

    if (self.stood_still()) {
        client_register::instance().doubt();
    }

    self.last_second_ = ngx_current_msec;

    if (redis != nullptr && worker_bus::running()) {
        self.every_second(*redis);
    }
} catch (const std::bad_alloc &) {
    // In the next second
}

void client_claims::every_second(shard_router &redis)
{
    if (batch_ && !batch_->asked) {
        take(redis);
    }

    if (!worker_bus::broker().leads()) {
        return;
    }

    if (++seconds_ % seconds_between_renewals == 0) {
        const std::uint32_t used = worker_bus::zone().client_shards.load();

        for (unsigned shard = 0; shard != redis::shard_count; shard++) {
            if ((used >> shard & 1) != 0) {
                renew(redis, shard);
            }
        }
    }

    for (unsigned i = 0; i != looks_per_second && !ngx_exiting; i++) {
        next_shard_ = (next_shard_ + 1) % redis::shard_count;
        find(redis, next_shard_, "", "", "0");
    }
}

bool client_claims::has_error(const redisReply *reply,
                              const char *command) noexcept
{
    static log_throttle line;

    if (!error_in(reply).empty()) {
        log_refused(line, command, error_in(reply), "retrying");
    }

    return !error_in(reply).empty();
}

// `host` is empty for any host.
void client_claims::find(shard_router &redis, unsigned shard,
                         std::string_view host, std::string_view kind,
                         std::string_view position)
{
    const std::array<std::string, 1> keys{redis::client_hosts_key(shard)};
    const std::string prefix = tagged_prefix(redis, shard);
    std::vector<std::string> kinds;
    std::vector<std::string_view> arguments{
        prefix, worker_bus::zone().host.uid(), host, position};

    if (kind.empty()) {
        kinds = calls->kinds();

        if (kinds.empty()) {
            return; // an earlier configuration had some
        }

        arguments.insert(arguments.end(), kinds.begin(), kinds.end());
    } else {
        arguments.push_back(kind);
    }

    if (redis.run(shard, {redis::script::find_clients, keys, arguments},
                  on_found, &steady_since_[shard]) &&
        looking_++ == 0) {
        looked_at_ = ngx_current_msec;
    }
}

void client_claims::on_found(void *data, const redisReply *reply) noexcept
try {
    client_claims &self = instance();
    const auto shard = static_cast<unsigned>(static_cast<ngx_msec_t *>(data) -
                                             self.steady_since_.data());
    const auto parts = list_in(reply);

    if (since(self.looked_at_) > patience) {
        self.doubt();
    }

    if (reply == nullptr || has_error(reply, "look for hosts that have died")) {
        self.on_shard_ready(shard); // the other shards may have another Redis
    }

    self.looking_--;
    self.looked_at_ = ngx_current_msec;

    if (parts.size() != 4 || self.batch_ || !self.is_steady(shard) ||
        ngx_exiting || !worker_bus::running() || !calls->has_room()) {
        return;
    }

    self.batch_.emplace(batch{.shard = shard,
                              .host = std::string(text_in(parts[0])),
                              .kind = std::string(text_in(parts[1])),
                              .position = std::string(text_in(parts[2])),
                              .clients = {},
                              .asked = false});

    if (!self.note_clients(*parts[3])) {
        self.batch_->position = "0"; // the rest, when there is memory again
    }

    if (shard_router *redis = backplane::router(); redis != nullptr) {
        self.take(*redis);
    }
} catch (const std::bad_alloc &) {
    instance().end_batch();
}

// False: not all, as there was no memory. Throws std::bad_alloc.
bool client_claims::note_clients(const redisReply &found)
{
    const auto list = list_in(&found);
    const auto kind = detail::decimal(batch_->kind);
    const std::uint64_t now = worker_bus::now();
    broker::broker &local = worker_bus::broker();

    batch_->clients.reserve(list.size() / 2);

    for (std::size_t i = 1; i < list.size() && kind; i += 2) {
        claimed next{std::string(text_in(list[i - 1])),
                     std::string(text_in(list[i])),
                     {}};
        const auto entry = redis::parse_client_entry(next.entry);

        // A later version of the module may read it
        if (!entry || !client_record::is_valid(entry->record) ||
            detail::decimal(next.id) != client_record::id_of(entry->record)) {
            continue;
        }

        next.note = local.add_note(worker_bus::slot(),
                                   static_cast<std::uint32_t>(*kind),
                                   entry->record, now);

        if (!next.note) {
            return false;
        }

        local.count_note(next.note, entry->sequence);
        batch_->clients.push_back(std::move(next));

        if (!local.set_note_state(batch_->clients.back().note, entry->state,
                                  now)) {
            local.remove_note(batch_->clients.back().note);
            batch_->clients.pop_back();
            return false;
        }
    }

    return true;
}

// Throws std::bad_alloc.
void client_claims::take(shard_router &redis)
{
    const unsigned shard = batch_->shard;
    const std::string_view uid = worker_bus::zone().host.uid();
    const std::string &host = batch_->host;
    const std::array<std::string, 6> keys{
        redis::kept_clients_key(shard, batch_->kind, host),
        redis::kept_clients_key(shard, batch_->kind, uid),
        redis::client_lease_key(shard, host),
        redis::client_taken_key(shard, host),
        redis::client_kinds_key(shard, uid),
        redis::client_hosts_key(shard)};
    std::vector<std::string_view> arguments{uid, batch_->kind};

    for (const claimed &each : batch_->clients) {
        arguments.push_back(each.id);
    }

    use_client_shard(shard);
    renew(redis, shard);
    batch_->asked =
        redis.run(shard, {redis::script::take_clients, keys, arguments},
                  on_taken, nullptr);
}

void client_claims::on_taken(void *, const redisReply *reply) noexcept
try {
    client_claims &self = instance();

    if (!self.batch_) {
        return;
    }

    self.batch_->asked = false; // every_second() repeats it

    if (reply == nullptr || !worker_bus::running()) {
        return;
    }

    if (has_error(reply, "take clients of a host that has died")) {
        self.end_batch(); // another worker must not send their events
        return;
    }

    const batch done = std::move(*self.batch_);

    self.batch_.reset();
    adopt_taken(done, *reply);

    shard_router *redis = backplane::router();

    if (done.position != "0" && redis != nullptr && !ngx_exiting &&
        calls->has_room()) {
        self.find(*redis, done.shard, done.host, done.kind, done.position);
    }
} catch (const std::bad_alloc &) {
    // The rest, when the shard is looked at again
}

// Without memory another worker adopts the client.
void client_claims::adopt(const claimed &client, std::uint32_t kind) noexcept
try {
    const auto entry = redis::parse_client_entry(client.entry);
    broker::found_note found;

    found.handle = client.note;
    found.kind = kind;
    found.sequence = entry->sequence;
    found.text = entry->record;
    found.state = entry->state;
    calls->adopt(found);
} catch (const std::bad_alloc &) {
    worker_bus::broker().abandon_note(client.note, worker_bus::now());
}

// Sends the disconnect events of those that this host got.
void client_claims::adopt_taken(const batch &from,
                                const redisReply &taken) noexcept
{
    static log_throttle line;
    const auto kind =
        static_cast<std::uint32_t>(detail::decimal(from.kind).value_or(0));
    const auto ours = list_in(&taken);

    for (const claimed &each : from.clients) {
        if (std::ranges::find(ours, each.id, text_in) != ours.end()) {
            adopt(each, kind);
        } else {
            worker_bus::broker().remove_note(each.note);
        }
    }

    if (log_permit permit; !ours.empty() && (permit = line.allows())) {
        write_log(NGX_LOG_NOTICE, ngx_cycle->log,
                  "websocket: this host sends the disconnect events of the "
                  "clients of host %V, which has died%V",
                  unquoted{from.host}, permit.suppressed());
    }
}

void client_claims::end_batch() noexcept
{
    if (batch_) {
        for (const claimed &each : batch_->clients) {
            worker_bus::broker().remove_note(each.note);
        }

        batch_.reset();
    }
}

} // namespace websocket::nginx::backend
