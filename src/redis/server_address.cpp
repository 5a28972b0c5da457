// Names and compares addresses.
#include "redis/server_address.hpp"

#include <algorithm>

namespace websocket::redis {

std::string server_address::name() const
{
    if (is_unix) {
        return "unix:" + path;
    }

    if (!sentinels.empty()) {
        std::string text = tls ? "sentinels://" : "sentinel://";

        for (const server_address &each : sentinels) {
            text += each.name() + ',';
        }

        text.back() = '/';
        return text + master;
    }

    const bool bracketed = host.find(':') != host.npos;

    return (bracketed ? '[' + host + ']' : host) + ':' + std::to_string(port);
}

bool same_database(const server_address &one, const server_address &other)
{
    if (one.database != other.database || one.master != other.master) {
        return false;
    }

    if (one.sentinels.empty()) {
        return one.name() == other.name();
    }

    return std::ranges::any_of(one.sentinels, [&other](const auto &mine) {
        return std::ranges::any_of(other.sentinels, [&mine](const auto &its) {
            return mine.name() == its.name();
        });
    });
}

} // namespace websocket::redis
