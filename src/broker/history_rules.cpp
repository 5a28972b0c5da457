// Finds the largest limits among those that locations request.
#include "broker/history_rules.hpp"

#include <algorithm>

namespace websocket::broker {

// An age of 0 is no limit of age, if any message is kept.
limits larger(const limits &one, const limits &other) noexcept
{
    if (one.messages == 0 || other.messages == 0) {
        return one.messages != 0 ? one : other;
    }

    const bool bounded = one.milliseconds != 0 && other.milliseconds != 0;

    return {std::max(one.messages, other.messages),
            bounded ? std::max(one.milliseconds, other.milliseconds) : 0};
}

limits history_rules::of_name(std::string_view name) const noexcept
{
    limits found;

    for (const name_rule &each : names_) {
        if (each.whole ? name == each.beginning
                       : name.starts_with(each.beginning)) {
            found = larger(found, each.wanted);
        }
    }

    return found;
}

limits history_rules::of(history_source source) const noexcept
{
    limits found;

    if (source == any_source) {
        for (const rule &each : rules_) {
            found = larger(found, each.wanted);
        }
        return found;
    }

    const auto it = std::lower_bound(
        rules_.begin(), rules_.end(), source,
        [](const rule &each, history_source at) { return each.source < at; });

    return it != rules_.end() && it->source == source ? it->wanted : found;
}

} // namespace websocket::broker
