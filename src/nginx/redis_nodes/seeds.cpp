// Asks the configured nodes for the slots.
#include "nginx/redis_nodes/seeds.hpp"

#include "nginx/core/log_line.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

// A log line has the faults of all nodes.
constexpr std::size_t max_seed_fault = 100;

} // namespace

cluster_seeds::link::link(cluster_seeds &group,
                          const redis_target &target) noexcept
    : group_{group}, target_{target}, connection_{group.settings_, target,
                                                  *this,
                                                  redis_connection::role::seed}
{
    connection_.open();
}

void cluster_seeds::link::ask() noexcept
{
    const std::string_view args[] = {"CLUSTER", "SLOTS"};

    if (!asking_ && connection_.ready()) {
        asking_ = connection_.command(args, on_reply, this);
    }
}

void cluster_seeds::link::on_reply(void *data, const redisReply *reply) noexcept
{
    auto &self = *static_cast<link *>(data);

    self.asking_ = false;

    if (reply == nullptr) {
        return; // on_redis_lost() follows
    }

    if (const auto error = error_in(reply); !error.empty()) {
        self.set_fault(error);
        self.group_.on_fault();
        return;
    }

    self.fault_.clear();
    self.group_.on_answer(*reply, self.target_);
}

void cluster_seeds::link::on_redis_lost(std::string_view reason) noexcept
{
    set_fault(reason.empty() ? "no memory" : reason);
    group_.on_fault();
}

void cluster_seeds::link::set_fault(std::string_view text) noexcept
try {
    fault_ = text.substr(0, max_seed_fault);
    std::replace_if(
        fault_.begin(), fault_.end(),
        [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
} catch (const std::bad_alloc &) {
    fault_ = "no memory";
}

std::string cluster_seeds::link::describe() const
{
    return target_.name + ": " + fault_;
}

void cluster_seeds::ask()
{
    if (links_.empty()) {
        std::vector<std::unique_ptr<link>> created;

        for (const redis_target &each : settings_.nodes) {
            created.push_back(std::make_unique<link>(*this, each));
        }

        links_ = std::move(created);
        return;
    }

    for (const auto &each : links_) {
        each->ask();
    }
}

// Logs that no node has answered.
void cluster_seeds::on_fault() noexcept
try {
    if (!std::ranges::all_of(links_,
                             [](const auto &each) { return each->failed(); })) {
        return;
    }

    if (log_permit permit = line_.allows(); permit) {
        std::string faults;

        for (const auto &each : links_) {
            faults += (faults.empty() ? "" : "; ") + each->describe();
        }

        logged_ = true;
        write_log(NGX_LOG_ERR, ngx_cycle->log,
                  "websocket: cannot use Redis at %V: %V; retrying%V",
                  settings_.server.name, unquoted{faults}, permit.suppressed());
    }
} catch (const std::bad_alloc &) {
    // The next fault logs them
}

void cluster_seeds::on_answer(const redisReply &reply,
                              const redis_target &from) noexcept
{
    if (std::exchange(logged_, false)) {
        write_log(NGX_LOG_NOTICE, ngx_cycle->log,
                  "websocket: %V names the nodes of Redis at %V", from.name,
                  settings_.server.name);
    }

    owner_.on_slots(reply, from);
}

} // namespace websocket::nginx
