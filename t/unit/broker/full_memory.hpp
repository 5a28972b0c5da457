// A broker whose memory tests fill.
#pragma once

#include "broker_fixture.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

namespace broker_tests {

class full_memory : public broker_test {
protected:
    full_memory()
    {
        make();
        slot = claim(1);
        half = core.measure().size / 256 * 128;
    }

    // Appends until so many entries were dropped.
    int fill(subscription with, std::uint64_t dropped)
    {
        int sent = 0;

        for (; all_dropped() < dropped; sent++) {
            send(with, std::to_string(sent));
        }

        return sent;
    }

    std::uint64_t all_dropped()
    {
        const usage now_is = core.measure();
        return now_is.dropped_unread + now_is.dropped_history;
    }

    unsigned slot;
    std::size_t half; // of the memory, in whole blocks
};

} // namespace broker_tests
