// Scans numbers and strings.
#include "handlers/json_scanner.hpp"

#include "sdk/websocket_text.hpp"

#include <cmath>
#include <cstdlib>

namespace websocket::handlers {

namespace {

// 1e308 is finite, 2e308 and 1e309 are not.
constexpr long max_exponent = 308;

// Larger exponents are treated alike, whatever the digits before them.
constexpr long endless = 1L << 40;

constexpr bool is_digit(char character) noexcept
{
    return character >= '0' && character <= '9';
}

// True for an ASCII character that a string contains unescaped.
constexpr bool is_plain(char character) noexcept
{
    return static_cast<signed char>(character) >= ' ' && character != '"' &&
           character != '\\';
}

constexpr bool is_surrogate(unsigned code, unsigned first) noexcept
{
    return code >= first && code < first + 0x400;
}

void append_utf8(std::string &to, unsigned code)
{
    const auto follow = [&to](unsigned bits) {
        to += static_cast<char>(0x80 | (bits & 0x3F));
    };

    if (code < 0x80) {
        to += static_cast<char>(code);
    } else if (code < 0x800) {
        to += static_cast<char>(0xC0 | code >> 6);
        follow(code);
    } else if (code < 0x10000) {
        to += static_cast<char>(0xE0 | code >> 12);
        follow(code >> 6);
        follow(code);
    } else {
        to += static_cast<char>(0xF0 | code >> 18);
        follow(code >> 12);
        follow(code >> 6);
        follow(code);
    }
}

// True if INTEGER.FRACTION times ten to the exponent rounds to a finite double.
bool is_finite(std::string_view integer, std::string_view fraction,
               long exponent)
{
    constexpr std::size_t enough = 40;

    integer.remove_prefix(
        std::min(integer.find_first_not_of('0'), integer.size()));

    // The exponent of the first digit that is not 0
    long first = exponent + static_cast<long>(integer.size()) - 1;

    if (integer.empty()) {
        const std::size_t zeros = fraction.find_first_not_of('0');

        if (zeros == fraction.npos) {
            return true;
        }
        fraction.remove_prefix(zeros);
        first = exponent - static_cast<long>(zeros) - 1;
    }

    if (first != max_exponent) {
        return first < max_exponent;
    }

    std::string digits(integer.substr(0, enough));

    digits.append(fraction.substr(0, enough - digits.size()));
    digits.insert(1, 1, '.');
    return std::isfinite(std::strtod(digits.append("e308").c_str(), nullptr));
}

} // namespace

bool json_scanner::number()
{
    long power = 0;

    take('-');

    const std::size_t begin = at_;
    const std::string_view integer = take('0') ? since(begin) : digits();
    const bool has_fraction = !integer.empty() && take('.');
    const std::string_view fraction =
        has_fraction ? digits() : std::string_view{};

    if (integer.empty() || (has_fraction && fraction.empty()) ||
        ((take('e') || take('E')) && !exponent(power))) {
        return false;
    }

    return (power == 0 && integer.size() <= max_exponent) ||
           is_finite(integer, fraction, power);
}

std::string_view json_scanner::digits() noexcept
{
    const std::size_t begin = at_;

    while (!ended() && is_digit(text_[at_])) {
        at_++;
    }

    return since(begin);
}

bool json_scanner::exponent(long &value) noexcept
{
    const bool negative = take('-');

    if (!negative) {
        take('+');
    }

    const std::string_view found = digits();

    for (const char digit : found) {
        value = std::min(10 * value + (digit - '0'), endless);
    }

    value = negative ? -value : value;
    return !found.empty();
}

bool json_scanner::string(std::string *to)
{
    if (!take('"')) {
        return false;
    }

    if (to != nullptr) {
        to->clear();
    }

    for (;;) {
        const std::size_t begin = at_;

        if (!plain_text()) {
            return false;
        }
        if (to != nullptr) {
            to->append(since(begin));
        }
        if (take('"')) {
            return true;
        }
        if (!take('\\') || !escaped(to)) {
            return false;
        }
    }
}

// Skips to the next quote, backslash or control character. Returns false if the
// text is not UTF-8.
bool json_scanner::plain_text() noexcept
{
    for (;;) {
        while (!ended() && is_plain(text_[at_])) {
            at_++;
        }

        if (ended() || static_cast<signed char>(text_[at_]) >= 0) {
            return true;
        }

        const detail::character found =
            detail::first_character(text_.substr(at_, 4));

        if (!found.whole) {
            return false;
        }
        at_ += found.length;
    }
}

// Scans an escape after its backslash.
bool json_scanner::escaped(std::string *to)
{
    constexpr std::string_view names = "\"\\/bfnrt";
    constexpr std::string_view characters = "\"\\/\b\f\n\r\t";
    const std::size_t known = ended() ? names.npos : names.find(next());

    if (known == names.npos) {
        return take('u') && escaped_code(to);
    }

    at_++;

    if (to != nullptr) {
        *to += characters[known];
    }
    return true;
}

bool json_scanner::escaped_code(std::string *to)
{
    unsigned code = 0;
    unsigned low = 0;

    if (!four_digits(code) || is_surrogate(code, 0xDC00)) {
        return false;
    }

    if (is_surrogate(code, 0xD800)) {
        if (!take("\\u") || !four_digits(low) || !is_surrogate(low, 0xDC00)) {
            return false;
        }
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }

    if (to != nullptr) {
        append_utf8(*to, code);
    }
    return true;
}

bool json_scanner::four_digits(unsigned &code) noexcept
{
    for (int i = 0; i != 4; i++) {
        const int value = detail::hex_value(next());

        if (value < 0) {
            return false;
        }
        code = code * 16 + static_cast<unsigned>(value);
        at_++;
    }

    return true;
}

} // namespace websocket::handlers
