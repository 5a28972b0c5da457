// Keeps a connection to Redis up.
#include "nginx/hiredis/connection.hpp"

#include "nginx/hiredis/outage_log.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

constexpr ngx_msec_t first_pause = 100;
constexpr ngx_msec_t longest_pause = 5000;

// Half of it is left to chance, so that many workers and hosts do not come
// back as one.
ngx_msec_t jittered(ngx_msec_t pause) noexcept
{
    return pause / 2 + static_cast<ngx_msec_t>(ngx_random()) % (pause / 2 + 1);
}

// The longest reason that is told: Redis's own are shorter.
constexpr std::size_t longest_reason = 200;

redis_outage this_outage;

} // namespace

redis_connection::redis_connection(const redis_settings &settings,
                                   redis_connection::owner &told,
                                   role as) noexcept
    : settings_{settings}, owner_{told}, role_{as}, pause_{first_pause}
{
    timer_.handler = on_timer;
    timer_.data = this;
    timer_.log = ngx_cycle->log;
    timer_.cancelable = 1; // it does not keep a leaving worker
}

redis_connection::~redis_connection()
{
    if (link_ != nullptr) {
        link_->leave(true);
        link_ = nullptr;
    }

    close();
}

void redis_connection::open() noexcept
{
    if (state_ == state::closed) {
        state_ = state::pausing;
        pause_ = first_pause;
        arm(0);
    }
}

void redis_connection::close() noexcept
{
    state_ = state::closed;
    lookup_.cancel();
    disarm();

    if (std::exchange(missed_, false)) {
        this_outage.forgotten();
    }

    if (redis_link *left = std::exchange(link_, nullptr); left != nullptr) {
        left->leave(false);
    }
}

bool redis_connection::ready() const noexcept
{
    return state_ == state::ready && link_->alive();
}

std::size_t redis_connection::unsent() const noexcept
{
    return link_ == nullptr ? 0 : link_->unsent();
}

bool redis_connection::command(std::span<const std::string_view> words,
                               redis_answer answer, void *data) noexcept
{
    if (!ready() || words.empty()) {
        return false;
    }

    if (!timer_.timer_set) {
        arm(settings_.command_timeout);
    }

    if (role_ == role::commands) {
        return link_->command(words, answer, data);
    }

    if (words[0] == "SUBSCRIBE") {
        return link_->subscribe(words.subspan(1), answer, data);
    }

    return words[0] == "UNSUBSCRIBE" && link_->unsubscribe(words.subspan(1));
}

void redis_connection::restart(std::string_view why) noexcept
{
    if (state_ == state::ready) {
        link_->end(why);
    }
}

void redis_connection::renew(std::string_view why) noexcept
{
    renewing_ = state_ == state::ready;
    restart(why);
}

void redis_connection::hurry() noexcept
{
    if (state_ == state::pausing && !flapping_) {
        disarm();
        begin();
    }
}

void redis_connection::flush() noexcept
{
    if (link_ != nullptr) {
        link_->flush();
    }
}

void redis_connection::begin() noexcept
{
    next_address_ = 0;

    if (settings_.resolver != nullptr) {
        state_ = state::resolving;
        lookup_.ask(settings_, resolved, this);
        return;
    }

    resolved(this, nullptr, {});
}

// Without an answer what the configuration found is as good as it gets.
void redis_connection::resolved(void *data, std::vector<std::string> *addresses,
                                std::string_view why) noexcept
{
    auto &self = *static_cast<redis_connection *>(data);

    try {
        self.why_.assign("its name could not be resolved: ").append(why);
        self.addresses_ =
            addresses == nullptr ? self.settings_.addresses : *addresses;
    } catch (const std::bad_alloc &) {
        self.addresses_.clear();
    }

    self.try_addresses();
}

// From the next one on, until one is on its way.
void redis_connection::try_addresses() noexcept
{
    const std::size_t all = settings_.target.is_unix ? 1 : addresses_.size();

    while (next_address_ < all) {
        if (try_address()) {
            state_ = state::connecting;
            arm(settings_.connect_timeout);
            return;
        }

        next_address_++;
    }

    lost();
}

bool redis_connection::try_address() noexcept
try {
    const broker::redis_target &target = settings_.target;
    std::string why;

    link_ = target.is_unix
                ? redis_link::to_socket(*this, target.path, why)
                : redis_link::to_address(*this, addresses_[next_address_],
                                         target.port, why);

    if (link_ == nullptr) {
        why_ = told_as(why);
        return false;
    }

    if (!greet()) {
        std::exchange(link_, nullptr)->leave(true);
        why_ = "no memory";
        return false;
    }

    return true;

} catch (const std::bad_alloc &) {
    return false;
}

// In one piece. The last is there for a server that is still loading, or wants
// a password that it is not given.
bool redis_connection::greet() noexcept
{
    const broker::redis_target &target = settings_.target;
    std::array<char, 16> digits;
    const u_char *end = ngx_snprintf(reinterpret_cast<u_char *>(digits.data()),
                                     digits.size(), "%ud", target.database);
    const std::string_view auth[] = {"AUTH", target.user, target.password};
    const std::string_view short_auth[] = {"AUTH", target.password};
    const std::string_view select[] = {
        "SELECT", {digits.data(), reinterpret_cast<const char *>(end)}};
    const std::string_view ping[] = {"PING"};
    bool sent = true;

    greetings_ = 0;

    const auto say = [&](std::span<const std::string_view> words) {
        greetings_++;
        sent = sent && link_->command(words, greeted, this);
    };

    if (!target.user.empty()) {
        say(auth);
    } else if (!target.password.empty()) {
        say(short_auth);
    }

    if (target.database != 0) {
        say(select);
    }

    say(ping);
    return sent;
}

void redis_connection::greeted(void *data, const redisReply *reply) noexcept
{
    auto &self = *static_cast<redis_connection *>(data);

    if (reply == nullptr || !self.link_->alive()) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        self.link_->end({reply->str, reply->len});

    } else if (--self.greetings_ == 0) {
        self.became_ready();
    }
}

void redis_connection::became_ready() noexcept
{
    state_ = state::ready;
    ready_since_ = ngx_current_msec;
    connects_++;
    disarm();

    if (std::exchange(missed_, false)) {
        this_outage.is_over(settings_);
    }

    owner_.redis_ready();
}

void redis_connection::link_ended(std::string_view why) noexcept
{
    link_ = nullptr;
    disarm();

    try {
        why_ = told_as(why);
    } catch (const std::bad_alloc &) {
        why_.clear();
    }

    if (state_ == state::ready) {
        lost();
        return;
    }

    next_address_++;
    try_addresses();
}

void redis_connection::lost() noexcept
{
    const std::string why = std::move(why_); // the owner may begin anew
    const bool was_ready = state_ == state::ready;

    // One that breaks again and again has not recovered
    if (was_ready && ngx_current_msec - ready_since_ >= longest_pause) {
        pause_ = first_pause;
    }

    flapping_ = was_ready && ngx_current_msec - ready_since_ < longest_pause;
    state_ = state::pausing;
    arm(jittered(pause_));
    pause_ = std::min(2 * pause_, longest_pause);

    if (!std::exchange(missed_, true)) {
        this_outage.began();
    }

    this_outage.goes_on(settings_, was_ready, why,
                        std::exchange(renewing_, false) ? NGX_LOG_NOTICE
                                                        : NGX_LOG_ERR);
    owner_.redis_lost(why);
}

void redis_connection::check_answers() noexcept
{
    const ngx_msec_t waiting = link_->waiting();

    if (link_->unanswered() == 0) {
        return;
    }

    if (waiting >= settings_.command_timeout) {
        link_->end("no answer within command_timeout");

    } else {
        arm(settings_.command_timeout - waiting);
    }
}

void redis_connection::on_timer(ngx_event_t *event) noexcept
{
    auto &self = *static_cast<redis_connection *>(event->data);

    switch (self.state_) {
    case state::pausing:
        self.begin();
        break;

    case state::connecting:
        self.link_->end("not ready within connect_timeout");
        break;

    case state::ready:
        self.check_answers();
        break;

    default:
        break;
    }
}

void redis_connection::arm(ngx_msec_t time) noexcept
{
    ngx_add_timer(&timer_, time);
}

void redis_connection::disarm() noexcept
{
    if (timer_.timer_set) {
        ngx_del_timer(&timer_);
    }
}

// One line, with the address if there is a choice. Some servers repeat in an
// error what they have been sent.
std::string redis_connection::told_as(std::string_view why) const
{
    const broker::redis_target &target = settings_.target;
    std::string text{why};
    std::size_t at = 0;

    while (!target.password.empty() &&
           (at = text.find(target.password, at)) != text.npos) {
        text.replace(at, target.password.size(), "***");
        at += 3;
    }

    text.resize(std::min(text.size(), longest_reason));

    std::replace_if(
        text.begin(), text.end(),
        [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');

    if (next_address_ < addresses_.size() &&
        addresses_[next_address_] != target.host) {
        text.insert(0, addresses_[next_address_] + ": ");
    }

    return text;
}

} // namespace websocket::nginx
