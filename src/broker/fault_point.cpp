// Kills the process at the fault point that its environment names.
#include "broker/fault_point.hpp"

#ifdef WEBSOCKET_FAULT_POINTS

#include <csignal>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace websocket::broker {

namespace {

struct end {
    std::string_view name;
    long passes = 0; // until then
};

end end_wanted() noexcept
{
    const char *text = std::getenv("WEBSOCKET_DIE_AT");

    if (text == nullptr) {
        return {};
    }

    const std::string_view all = text;
    const std::size_t colon = all.rfind(':');

    if (colon == std::string_view::npos) {
        return {all, 1};
    }

    return {all.substr(0, colon), std::strtol(text + colon + 1, nullptr, 10)};
}

void die_where_wanted(const char *name) noexcept
{
    static end wanted = end_wanted();

    if (wanted.name == name && --wanted.passes == 0) {
        static_cast<void>(std::raise(SIGKILL));
    }
}

fault_hook current = die_where_wanted;

} // namespace

fault_hook set_fault_hook(fault_hook hook) noexcept
{
    return std::exchange(current, hook);
}

void reach_fault_point(const char *name) noexcept
{
    current(name);
}

} // namespace websocket::broker

#endif
