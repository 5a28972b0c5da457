// A log of nginx that keeps the last error instead of writing it.
#pragma once

#include "nginx/core/log_line.hpp"
#include "nginx/core/nginx_headers.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace websocket::nginx {

// nginx logs why a connection failed and returns no reason. The text is kept
// for the one line of the outage. Lines below the level "error" are written.
class captured_log {
public:
    captured_log() noexcept
    {
        log_.log_level =
            std::max<ngx_uint_t>(ngx_cycle->log->log_level, NGX_LOG_ERR);
        log_.writer = write;
        log_.wdata = this;
    }

    captured_log(const captured_log &) = delete;
    captured_log &operator=(const captured_log &) = delete;

    ngx_log_t *get() noexcept { return &log_; }

    // Empty: there was none.
    std::string_view error() const noexcept { return {text_.data(), size_}; }

private:
    static void write(ngx_log_t *log, ngx_uint_t level, u_char *line,
                      std::size_t size)
    {
        auto &self = *static_cast<captured_log *>(log->wdata);
        const std::string_view message = message_in({line, size});

        if (level > NGX_LOG_ERR) {
            write_log(level, ngx_cycle->log, "%V", unquoted{message});
            return;
        }

        self.size_ = std::min(message.size(), self.text_.size());
        std::copy_n(message.data(), self.size_, self.text_.data());
    }

    ngx_log_t log_{};
    std::array<char, 512> text_;
    std::size_t size_ = 0;
};

} // namespace websocket::nginx
