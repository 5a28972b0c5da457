// Parses the URL of a Redis server.
//
// A fault never repeats the text, because any part of an invalid URL may belong
// to a password.
#include "redis/url.hpp"

#include "sdk/websocket_text.hpp"

#include <charconv>
#include <optional>

namespace websocket::redis {

namespace {

constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz"
                                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::string_view host_marks = "0123456789-._";
constexpr std::string_view address_marks = "0123456789abcdefABCDEF:.";

// The path in a socket address ends with a zero byte.
constexpr std::size_t max_path_size = 107;

constexpr unsigned max_databases = 1u << 30;

constexpr std::string_view forms =
    "\"redis://[[user]:password@]host[:port][/db]\", the same with "
    "\"rediss://\" for TLS, or \"unix:/path[?user=..&password=..&db=..]\"";

// Removes the text before the mark, and the mark, and returns that text.
// Nullopt: there is no such mark.
std::optional<std::string_view> cut(std::string_view &text, char mark) noexcept
{
    const std::size_t at = text.find(mark);

    if (at == text.npos) {
        return std::nullopt;
    }

    const std::string_view before = text.substr(0, at);
    text.remove_prefix(at + 1);
    return before;
}

template <typename Number>
bool read_number(std::string_view digits, Number min, Number max,
                 Number &number) noexcept
{
    const auto read = detail::decimal(digits);

    if (!read || *read < min || *read > max) {
        return false;
    }

    number = static_cast<Number>(*read);
    return true;
}

// False: a "%" without two hexadecimal digits, or a zero byte.
bool decode(std::string_view text, std::string &decoded)
{
    decoded.clear();

    while (!text.empty()) {
        unsigned char next = static_cast<unsigned char>(text[0]);
        std::size_t size = 1;

        if (next == '%') {
            const std::string_view digits = text.substr(1, 2);
            const char *end = digits.data() + digits.size();

            if (digits.size() != 2 ||
                std::from_chars(digits.data(), end, next, 16).ptr != end) {
                return false;
            }

            size = 3;
        }

        if (next == 0) {
            return false;
        }

        decoded += static_cast<char>(next);
        text.remove_prefix(size);
    }

    return true;
}

constexpr std::string_view wrong_percent =
    "write \"%\" as \"%25\", or put two hexadecimal digits other than \"00\" "
    "after it";

// Each parser returns a fault, or an empty text.
std::string_view read_database(std::string_view text, server_address &target)
{
    return read_number(text, 0u, max_databases - 1, target.database)
               ? std::string_view{}
               : "the database must be a number, such as \"/2\"";
}

std::string_view read_credentials(std::string_view text, server_address &target)
{
    const auto user = cut(text, ':');

    if (!user) {
        return "expected \"user:password\" or \":password\" before \"@\"";
    }

    if (!decode(*user, target.user) || !decode(text, target.password)) {
        return wrong_percent;
    }

    return target.password.empty() ? "the password is empty"
                                   : std::string_view{};
}

// Removes "[address]" from the text.
std::string_view read_bracketed(std::string_view &text, server_address &target)
{
    text.remove_prefix(1);
    const auto address = cut(text, ']');

    if (!address || address->find(':') == address->npos ||
        address->find_first_not_of(address_marks) != address->npos) {
        return "write an IPv6 address as \"[::1]\"";
    }

    target.host = *address;
    return {};
}

std::string_view read_host(std::string_view &text, server_address &target)
{
    const std::string_view host = text.substr(0, text.find(':'));

    if (text.find(':', host.size() + 1) != text.npos) {
        return "write an IPv6 address as \"[::1]\"";
    }

    if (host.empty()) {
        return "no host";
    }

    for (const char c : host) {
        if (letters.find(c) == letters.npos &&
            host_marks.find(c) == host_marks.npos) {
            return "the host must be a name, an IPv4 address or \"[IPv6 "
                   "address]\"; write \"@\", \"/\" and \"%\" in a password as "
                   "\"%40\", \"%2F\" and \"%25\"";
        }
    }

    target.host = host;
    text.remove_prefix(host.size());
    return {};
}

std::string_view read_tcp(std::string_view rest, server_address &target)
{
    // An unescaped delimiter in a password would end it elsewhere
    if (const std::size_t at = rest.rfind('@'); at != rest.npos) {
        if (rest.substr(0, at).find_first_of("@/?#") != rest.npos) {
            return "write \"@\", \"/\", \"?\" and \"#\" in a password as "
                   "\"%40\", \"%2F\", \"%3F\" and \"%23\"";
        }

        const auto fault = read_credentials(rest.substr(0, at), target);

        if (!fault.empty()) {
            return fault;
        }

        rest.remove_prefix(at + 1);
    }

    std::string_view host = rest.substr(0, rest.find('/'));
    rest.remove_prefix(host.size());

    const auto fault = host.starts_with('[') ? read_bracketed(host, target)
                                             : read_host(host, target);
    if (!fault.empty()) {
        return fault;
    }

    if (!host.empty() &&
        (host[0] != ':' ||
         !read_number<std::uint16_t>(host.substr(1), 1, 65535, target.port))) {
        return "the port must be a number from 1 to 65535";
    }

    return rest.size() < 2 ? std::string_view{}
                           : read_database(rest.substr(1), target);
}

// One of the parameters after "?".
std::string_view read_parameter(std::string_view text, server_address &target)
{
    const auto name = cut(text, '=');

    for (const auto &[known, member] :
         {std::pair{"user", &server_address::user},
          std::pair{"password", &server_address::password}}) {
        if (name == known) {
            if (!(target.*member).empty()) {
                return "duplicate \"user=\" or \"password=\"";
            }

            return !decode(text, target.*member) ? wrong_percent
                   : (target.*member).empty()
                       ? "\"user=\" or \"password=\" is empty"
                       : std::string_view{};
        }
    }

    if (name == "db") {
        return read_database(text, target).empty()
                   ? std::string_view{}
                   : "the database must be a number, such as \"db=2\"";
    }

    return "expected \"user=\", \"password=\" and \"db=\" after \"?\", "
           "separated "
           "by \"&\"";
}

std::string_view read_unix(std::string_view rest, server_address &target)
{
    const std::string_view path = rest.substr(0, rest.find('?'));
    rest.remove_prefix(path.size());

    target.is_unix = true;

    if (!decode(path, target.path)) {
        return wrong_percent;
    }

    if (!target.path.starts_with('/')) {
        return "the path of the socket must begin with \"/\"";
    }

    if (target.path.size() > max_path_size) {
        return "the path of the socket must not exceed 107 bytes";
    }

    while (!rest.empty()) {
        rest.remove_prefix(1);
        const std::string_view parameter = rest.substr(0, rest.find('&'));
        const auto fault = read_parameter(parameter, target);

        if (!fault.empty()) {
            return fault;
        }

        rest.remove_prefix(parameter.size());
    }

    return !target.user.empty() && target.password.empty()
               ? "a user without a password"
               : std::string_view{};
}

} // namespace

std::string server_address::name() const
{
    if (is_unix) {
        return "unix:" + path;
    }

    const bool bracketed = host.find(':') != host.npos;

    return (bracketed ? '[' + host + ']' : host) + ':' + std::to_string(port);
}

parsed_url parse_url(std::string_view url)
{
    constexpr std::string_view tcp = "redis://";
    constexpr std::string_view tls = "rediss://";
    constexpr std::string_view local = "unix:";
    parsed_url parsed;

    if (url.starts_with(tcp)) {
        parsed.fault = read_tcp(url.substr(tcp.size()), parsed.target);

    } else if (url.starts_with(tls)) {
        parsed.target.tls = true;
        parsed.fault = read_tcp(url.substr(tls.size()), parsed.target);

    } else if (url.starts_with(local)) {
        parsed.fault = read_unix(url.substr(local.size()), parsed.target);

    } else {
        parsed.fault = "expected " + std::string(forms);
    }

    return parsed;
}

} // namespace websocket::redis
