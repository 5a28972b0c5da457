// Messages to clients, as JSON, and those of the last minute.
#pragma once

#include "schedule.hpp"

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

namespace load {

inline constexpr std::string_view unknown_command =
    R"({"type":"error","message":"Send \"interval N\", with N from 100 to )"
    R"(60000 milliseconds, \"pause\" or \"resume\"."})";

inline constexpr std::string_view unreadable =
    R"({"type":"error","message":)"
    R"("The load of this machine cannot be read just now."})";

inline std::string settings_message(milliseconds interval, bool paused)
{
    return "{\"type\":\"settings\",\"interval\":" +
           std::to_string(interval.count()) +
           ",\"paused\":" + (paused ? "true" : "false") +
           ",\"shortest\":" + std::to_string(step.count()) +
           ",\"longest\":" + std::to_string(longest_interval.count()) + "}";
}

// `sample` has the members of an object; `skipped` is the number of samples
// before it that the client did not get.
inline std::string sample_message(const std::string &sample,
                                  std::uint64_t skipped)
{
    return "{\"type\":\"sample\",\"skipped\":" + std::to_string(skipped) + "," +
           sample + "}";
}

// Samples of the last minute.
class history {
public:
    void add(milliseconds at, const std::string &sample)
    {
        samples_.emplace_back(at, sample);
        forget_before(at - length);
    }

    std::string message(milliseconds at)
    {
        std::string text = "{\"type\":\"history\",\"samples\":[";

        forget_before(at - length);
        for (const auto &known : samples_) {
            text += (text.back() == '[' ? "{" : ",{") + known.second + "}";
        }

        return text + "]}";
    }

private:
    static constexpr milliseconds length{60'000};

    void forget_before(milliseconds oldest) noexcept
    {
        while (!samples_.empty() && samples_.front().first < oldest) {
            samples_.pop_front();
        }
    }

    std::deque<std::pair<milliseconds, std::string>> samples_;
};

} // namespace load
