// The result of a run: one line of JSON.
#pragma once

#include "histogram.hpp"

#include <string>
#include <string_view>

namespace websocket::load {

class report {
public:
    void add(std::string_view name, std::string_view word);
    void add(std::string_view name, double value);
    void add_latency(const histogram &of);

    // Writes the line to standard output.
    void print() const;

private:
    void add_raw(std::string_view name, std::string_view json);

    std::string members_;
};

} // namespace websocket::load
