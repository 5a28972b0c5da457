// Rules for how much history the locations of a configuration request.
//
// A location is identified by its *source*, a number derived from its key text:
// the same in every configuration. A log remembers the sources that subscribed
// to it. So each worker finds the same limits, and a later configuration can
// lower them.
#pragma once

#include "broker/types.hpp"

#include <cstdint>
#include <span>

namespace websocket::broker {

using history_source = std::uint32_t;

inline constexpr history_source no_source = 0;

// All sources of the rules.
inline constexpr history_source any_source = UINT32_MAX;

// The larger number of messages and the larger age of both.
limits larger(const limits &one, const limits &other) noexcept;

// The limits that each source requests. Rules are sorted by source, one for
// each, and must outlive the object.
class history_rules {
public:
    struct rule {
        history_source source;
        limits wanted;
    };

    explicit history_rules(std::span<const rule> rules) noexcept : rules_{rules}
    {}

    // No history for an unknown source.
    limits of(history_source source) const noexcept;

private:
    std::span<const rule> rules_;
};

// A request for history, made when a log is subscribed to or created.
struct history_request {
    history_request() noexcept = default;

    // Without rules: the limits become those of the log.
    history_request(const limits &asked) noexcept : asked{asked} {}

    history_request(const limits &asked, const history_rules *rules,
                    std::uint32_t configuration, history_source source) noexcept
        : asked{asked}, rules{rules}, configuration{configuration}, source{
                                                                        source}
    {}

    limits asked;                         // by the resource itself
    const history_rules *rules = nullptr; // null: there are none
    std::uint32_t configuration = 0;      // a later one has a larger number
    history_source source = no_source;
};

} // namespace websocket::broker
