// How much history the locations of a configuration ask for.
//
// A location is named by its *source*, a number made of its key text, the same
// in every configuration. A log remembers the sources that have subscribed to
// it, so that each worker finds the same limits, and a later configuration can
// lower them.
#pragma once

#include "broker/types.hpp"

#include <cstdint>
#include <span>

namespace websocket::broker {

using history_source = std::uint32_t;

inline constexpr history_source no_source = 0;

// Stands for all sources of the rules.
inline constexpr history_source any_source = UINT32_MAX;

// Of both limits the larger number of messages and the larger age.
limits larger(const limits &one, const limits &other) noexcept;

// What each source asks for. The rules are sorted by source, each of which is
// there once, and outlive the object.
class history_rules {
public:
    struct rule {
        history_source source;
        limits wanted;
    };

    explicit history_rules(std::span<const rule> rules) noexcept : rules_{rules}
    {}

    // Nothing for a source that is not among them.
    limits of(history_source source) const noexcept;

private:
    std::span<const rule> rules_;
};

// What is asked for when a log is subscribed to, or made.
struct history_request {
    history_request() noexcept = default;

    // By nobody else: the limits become those of the log.
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
