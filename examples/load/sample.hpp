// A sample: the difference of two readings, as the members of a JSON object.
// All are numbers, so nothing needs escapes.
#pragma once

#include "reading.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace load {

// The increase of a counter. A smaller one has begun again, such as that of a
// network interface that was removed.
inline std::uint64_t growth(std::uint64_t before, std::uint64_t now) noexcept
{
    return now > before ? now - before : 0;
}

// Tenths of a percent that a core was busy; it may have come up meanwhile.
inline std::uint64_t busy_share(const core_time *before, const core_time &now)
{
    if (before == nullptr) {
        return 0;
    }

    const std::uint64_t total = growth(before->total, now.total);
    const std::uint64_t busy = growth(before->busy, now.busy);

    return total == 0 ? 0 : std::min(busy, total) * 1000 / total;
}

inline const core_time *find_core(const reading &in, std::string_view name)
{
    const auto found = std::find_if(
        in.cores.begin(), in.cores.end(),
        [name](const core_time &core) { return core.name == name; });

    return found == in.cores.end() ? nullptr : &*found;
}

// Builds JSON: a comma goes before each part but the first.
class json_text {
public:
    // `name` may end in what opens an object or array.
    json_text &open(std::string_view name)
    {
        add(name);
        first_ = true;
        return *this;
    }

    json_text &close(char end)
    {
        text_ += end;
        first_ = false;
        return *this;
    }

    json_text &number(std::string_view name, std::uint64_t value)
    {
        add(name);
        text_ += std::to_string(value);
        return *this;
    }

    // A number of tenths or hundredths: `scale` is 10 or 100.
    json_text &fraction(std::uint64_t value, std::uint64_t scale,
                        std::string_view name = {})
    {
        number(name, value / scale);
        text_ += '.';
        // The scale's own digit keeps the zeros behind the point.
        text_ += std::to_string(scale + value % scale).substr(1);
        return *this;
    }

    std::string take() { return std::move(text_); }

private:
    void add(std::string_view part)
    {
        if (!first_) {
            text_ += ',';
        }

        text_ += part;
        first_ = false;
    }

    std::string text_;
    bool first_ = true;
};

inline std::string sample_json(const reading &before, const reading &now)
{
    using namespace std::chrono;

    const auto period = std::max<std::uint64_t>(
        1, duration_cast<milliseconds>(now.at - before.at).count());
    const auto time =
        duration_cast<milliseconds>(now.time.time_since_epoch()).count();
    json_text json;

    json.number("\"time\":", time).number("\"period\":", period);

    json.open("\"cpu\":{")
        .fraction(busy_share(&before.all, now.all), 10, "\"all\":")
        .open("\"cores\":[");
    for (const core_time &core : now.cores) {
        json.fraction(busy_share(find_core(before, core.name), core), 10);
    }
    json.close(']').close('}');

    json.open("\"memory\":{")
        .number("\"total\":", now.memory_total)
        .number("\"used\":", growth(now.memory_available, now.memory_total))
        .close('}');
    json.open("\"swap\":{")
        .number("\"total\":", now.swap_total)
        .number("\"used\":", growth(now.swap_free, now.swap_total))
        .close('}');

    json.open("\"load\":[");
    for (const std::uint64_t average : now.load_average) {
        json.fraction(average, 100);
    }
    json.close(']');

    const auto rate = [&](std::uint64_t from, std::uint64_t to) {
        return growth(from, to) * 1000 / period;
    };
    json.open("\"network\":{")
        .number("\"in\":", rate(before.bytes_received, now.bytes_received))
        .number("\"out\":", rate(before.bytes_sent, now.bytes_sent))
        .close('}');

    json.open("\"processes\":{")
        .number("\"all\":", now.processes)
        .number("\"threads\":", now.threads)
        .number("\"running\":", now.running)
        .close('}');

    return json.take();
}

} // namespace load
