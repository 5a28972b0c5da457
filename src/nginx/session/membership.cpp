// Implements the interface through which a resource uses its clients.
#include "nginx/resource/membership.hpp"

#include "nginx/session/session.hpp"

namespace websocket::nginx {

namespace {

session &session_of(membership &client) noexcept
{
    return static_cast<session &>(client);
}

} // namespace

std::uint64_t membership::join_position() const noexcept
{
    return static_cast<const session &>(*this).join_position();
}

void membership::on_join_position() noexcept
{
    session_of(*this).on_join_position();
}

void membership::send(const shared_frame &frame) noexcept
{
    (void)session_of(*this).send_shared(frame);
}

void membership::send_postponed() noexcept
{
    session_of(*this).send_postponed();
}

void membership::resume_reading() noexcept
{
    session_of(*this).resume_read();
}

void membership::close_by_server(std::uint16_t code,
                                 std::string_view reason) noexcept
{
    session_of(*this).close(code, reason, close_initiator::server);
}

} // namespace websocket::nginx
