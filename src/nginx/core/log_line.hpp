// Writes lines of the error log, with all text printable: text that a client
// chose can neither add a line, nor forge a field, nor control a terminal.
#pragma once

#include "nginx/core/nginx_headers.hpp"
#include "protocol/text/printable.hpp"

#include <array>
#include <span>
#include <string_view>
#include <type_traits>

namespace websocket::nginx {

// Marks an argument that stands outside of quotes in the line, such as an error
// message. All other text is taken for a name in quotes.
struct unquoted {
    std::string_view text;
};

// Printable text, as the argument of "%V".
template <std::size_t Capacity>
class clean_text {
public:
    clean_text(std::string_view text, protocol::quotes how) noexcept
        : text_{borrowed(protocol::print(text, how, buffer_))}
    {}

    clean_text(const clean_text &) = delete;
    clean_text &operator=(const clean_text &) = delete;

    ngx_str_t *get() noexcept { return &text_; }

private:
    std::array<char, Capacity> buffer_;
    ngx_str_t text_;
};

// Cut to 511 bytes, as a name may be longer than a line.
struct clean_name : clean_text<512> {
    explicit clean_name(std::string_view text) noexcept
        : clean_text{text, protocol::quotes::escaped}
    {}
};

struct clean_unquoted : clean_text<NGX_MAX_ERROR_STR> {
    explicit clean_unquoted(std::string_view text) noexcept
        : clean_text{text, protocol::quotes::kept}
    {}
};

// A format of ngx_log_error() in which all text is "%V".
struct log_format {
    template <std::size_t Size>
    consteval log_format(const char (&format)[Size]) : text{format}
    {
        if (std::string_view(format).find("%s") != std::string_view::npos) {
            throw "use %V for text";
        }
    }

    const char *text;
};

namespace log_arguments {

// Returns a temporary object that lives until the line is written.
template <class Argument>
auto cleaned(const Argument &argument) noexcept
{
    if constexpr (std::is_integral_v<Argument>) {
        return argument;
    } else if constexpr (std::is_same_v<Argument, unquoted>) {
        return clean_unquoted(argument.text);
    } else if constexpr (std::is_same_v<Argument, ngx_str_t>) {
        return clean_name(view(argument));
    } else {
        return clean_name(argument);
    }
}

template <class Cleaned>
auto passed(Cleaned &&argument) noexcept
{
    if constexpr (std::is_integral_v<std::remove_reference_t<Cleaned>>) {
        return argument;
    } else {
        return argument.get();
    }
}

} // namespace log_arguments

// Writes one line, as ngx_log_error() does. Arguments are numbers, of the types
// that the format requires, and texts of any type.
template <class... Arguments>
void write_log(ngx_uint_t level, ngx_log_t *log, ngx_err_t error,
               log_format format, const Arguments &...arguments) noexcept
{
    ngx_log_error(level, log, error, format.text,
                  log_arguments::passed(log_arguments::cleaned(arguments))...);
}

template <class... Arguments>
void write_log(ngx_uint_t level, ngx_log_t *log, log_format format,
               const Arguments &...arguments) noexcept
{
    write_log(level, log, 0, format, arguments...);
}

// The message of a complete line, as a writer of a log gets it: "TIME [LEVEL]
// PID#TID: " and the message.
inline std::string_view message_in(std::span<const u_char> line) noexcept
{
    std::string_view text(reinterpret_cast<const char *>(line.data()),
                          line.size());
    const std::size_t prefix = text.find(": ", text.find("] "));

    text.remove_prefix(prefix == text.npos ? 0 : prefix + 2);
    text.remove_suffix(text.ends_with('\n') ? 1 : 0);
    return text;
}

} // namespace websocket::nginx
