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
#include <string_view>

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

    // The request of a pattern for the logs whose names it fits.
    struct name_rule {
        std::string_view beginning; // of the names, or the whole name
        bool whole;
        limits wanted;
    };

    explicit history_rules(std::span<const rule> rules,
                           std::span<const name_rule> names = {}) noexcept
        : rules_{rules}, names_{names}
    {}

    // The largest of all name rules that fit.
    limits of_name(std::string_view name) const noexcept;

    // No history for an unknown source.
    limits of(history_source source) const noexcept;

private:
    std::span<const rule> rules_;
    std::span<const name_rule> names_;
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
