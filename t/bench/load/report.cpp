// The result of a run: one line of JSON.
#include "report.hpp"

#include <array>
#include <cstdio>

namespace websocket::load {

void report::add_raw(std::string_view name, std::string_view json)
{
    members_.append(members_.empty() ? "\"" : ",\"");
    members_.append(name).append("\":").append(json);
}

// Words are constants without characters that must be escaped.
void report::add(std::string_view name, std::string_view word)
{
    add_raw(name, "\"" + std::string(word) + "\"");
}

void report::add(std::string_view name, double value)
{
    std::array<char, 40> text;

    std::snprintf(text.data(), text.size(), "%.10g", value);
    add_raw(name, text.data());
}

void report::add_latency(const histogram &of)
{
    constexpr std::array<std::pair<const char *, double>, 4> shares = {
        {{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}}};
    report inner;

    for (const auto &[name, share] : shares) {
        inner.add(name, static_cast<double>(of.quantile(share)) / 1000);
    }

    add_raw("latency_us", "{" + inner.members_ + "}");
}

void report::print() const
{
    std::printf("{%s}\n", members_.c_str());
    std::fflush(stdout);
}

} // namespace websocket::load
