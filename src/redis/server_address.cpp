// Names and compares addresses.
#include "redis/server_address.hpp"

#include <algorithm>

namespace websocket::redis {

namespace {

std::string names_of(const std::vector<server_address> &addresses)
{
    std::string text;

    for (const server_address &each : addresses) {
        text += each.name() + ',';
    }

    text.pop_back();
    return text;
}

bool have_common(const std::vector<server_address> &some,
                 const std::vector<server_address> &others)
{
    return std::ranges::any_of(some, [&others](const auto &one) {
        return std::ranges::any_of(others, [&one](const auto &other) {
            return one.name() == other.name();
        });
    });
}

} // namespace

std::string server_address::name() const
{
    if (is_unix) {
        return "unix:" + path;
    }

    if (!sentinels.empty()) {
        return (tls ? "sentinels://" : "sentinel://") + names_of(sentinels) +
               '/' + master;
    }

    if (!nodes.empty()) {
        return (tls ? "clusters://" : "cluster://") + names_of(nodes);
    }

    const bool bracketed = host.find(':') != host.npos;

    return (bracketed ? '[' + host + ']' : host) + ':' + std::to_string(port);
}

bool same_database(const server_address &one, const server_address &other)
{
    if (one.database != other.database || one.master != other.master) {
        return false;
    }

    if (one.sentinels.empty() && one.nodes.empty()) {
        return one.name() == other.name();
    }

    return have_common(one.sentinels, other.sentinels) ||
           have_common(one.nodes, other.nodes);
}

} // namespace websocket::redis
