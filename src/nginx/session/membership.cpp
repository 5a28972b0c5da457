// Implements the interface through which a resource uses its clients.
#include "nginx/resource/membership.hpp"

#include "nginx/resource/client_subscription.hpp"
#include "nginx/session/session.hpp"

namespace websocket::nginx {

namespace {

client_subscription &subscription_of(membership &place) noexcept
{
    return static_cast<client_subscription &>(place);
}

} // namespace

bool membership::subscribed() const noexcept
{
    return static_cast<const membership *>(owner_) != this;
}

std::uint64_t membership::join_position() const noexcept
{
    return subscribed()
               ? static_cast<const client_subscription &>(*this).join_position()
               : owner_->join_position();
}

void membership::on_join_position() noexcept
{
    subscribed() ? subscription_of(*this).on_join_position()
                 : owner_->on_join_position();
}

bool membership::owner_is_open() const noexcept
{
    return owner_->open();
}

void *membership::client_object() const noexcept
{
    return owner_->object();
}

void membership::send(const shared_frame &frame) noexcept
{
    (void)owner_->send_shared(frame);
}

void membership::send_postponed() noexcept
{
    owner_->send_postponed();
}

void membership::resume_reading() noexcept
{
    owner_->resume_read();
}

void membership::close_by_server(std::uint16_t code,
                                 std::string_view reason) noexcept
{
    owner_->close(code, reason, close_initiator::server);
}

} // namespace websocket::nginx
