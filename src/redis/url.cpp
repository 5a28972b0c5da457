// Parses the URL of a Redis server, of its sentinels, or of a cluster.
//
// A fault never repeats the text, because any part of an invalid URL may belong
// to a password.
#include "redis/url.hpp"

#include "sdk/websocket_text.hpp"

#include <algorithm>
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
    "\"redis://[[user]:password@]host[:port][/db]\", "
    "\"sentinel://[[user]:password@]host[:port],host[:port]/master[/db]\", "
    "\"cluster://[[user]:password@]host[:port],host[:port]\", the same with "
    "\"rediss://\", \"sentinels://\" and \"clusters://\" for TLS, or "
    "\"unix:/path[?user=..&password=..&db=..]\"";

constexpr std::uint16_t redis_port = 6379;
constexpr std::uint16_t sentinel_port = 26379;

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

// Removes "[[user]:password@]" from the text. An unescaped delimiter in a
// password would end it elsewhere.
std::string_view cut_credentials(std::string_view &text, server_address &target)
{
    const std::size_t at = text.rfind('@');

    if (at == text.npos) {
        return {};
    }

    const std::string_view credentials = text.substr(0, at);

    text.remove_prefix(at + 1);
    return credentials.find_first_of("@/?#") == credentials.npos
               ? read_credentials(credentials, target)
               : "write \"@\", \"/\", \"?\" and \"#\" in a password as "
                 "\"%40\", \"%2F\", \"%3F\" and \"%23\"";
}

// Reads "host[:port]".
std::string_view read_endpoint(std::string_view text, server_address &target)
{
    const auto fault = text.starts_with('[') ? read_bracketed(text, target)
                                             : read_host(text, target);
    if (!fault.empty()) {
        return fault;
    }

    return text.empty() || (text[0] == ':' &&
                            read_number<std::uint16_t>(text.substr(1), 1, 65535,
                                                       target.port))
               ? std::string_view{}
               : "the port must be a number from 1 to 65535";
}

std::string_view read_tcp(std::string_view rest, server_address &target)
{
    if (const auto fault = cut_credentials(rest, target); !fault.empty()) {
        return fault;
    }

    const std::string_view host = rest.substr(0, rest.find('/'));
    rest.remove_prefix(host.size());

    if (const auto fault = read_endpoint(host, target); !fault.empty()) {
        return fault;
    }

    return rest.size() < 2 ? std::string_view{}
                           : read_database(rest.substr(1), target);
}

// Redis accepts these characters in the name of a master.
bool is_master_name(std::string_view name) noexcept
{
    return !name.empty() && std::ranges::all_of(name, [](const char c) {
        return letters.find(c) != letters.npos ||
               host_marks.find(c) != host_marks.npos;
    });
}

// Reads "host[:port][,host[:port]...]".
std::string_view read_hosts(std::string_view text, std::uint16_t port, bool tls,
                            std::vector<server_address> &hosts)
{
    while (true) {
        const std::string_view host = text.substr(0, text.find(','));
        server_address &added = hosts.emplace_back();

        added.port = port;
        added.tls = tls;

        if (const auto fault = read_endpoint(host, added); !fault.empty()) {
            return fault;
        }

        if (host.size() == text.size()) {
            return {};
        }

        text.remove_prefix(host.size() + 1);
    }
}

std::string_view read_sentinels(std::string_view rest, server_address &target)
{
    if (const auto fault = cut_credentials(rest, target); !fault.empty()) {
        return fault;
    }

    const auto hosts = cut(rest, '/');

    if (const auto fault = read_hosts(hosts.value_or(rest), sentinel_port,
                                      target.tls, target.sentinels);
        !fault.empty()) {
        return fault;
    }

    target.master = hosts ? rest.substr(0, rest.find('/')) : "";
    rest.remove_prefix(target.master.size());

    if (!is_master_name(target.master)) {
        return "expected the name of the master after the sentinels, such as "
               "\"/mymaster\": letters, digits, \".\", \"-\" and \"_\"";
    }

    return rest.size() < 2 ? std::string_view{}
                           : read_database(rest.substr(1), target);
}

std::string_view read_cluster(std::string_view rest, server_address &target)
{
    if (const auto fault = cut_credentials(rest, target); !fault.empty()) {
        return fault;
    }

    const std::string_view hosts = rest.substr(0, rest.find('/'));

    rest.remove_prefix(hosts.size());

    if (const auto fault =
            read_hosts(hosts, redis_port, target.tls, target.nodes);
        !fault.empty()) {
        return fault;
    }

    return rest.empty() || rest == "/" || rest == "/0"
               ? std::string_view{}
               : "a cluster has only the database 0";
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

parsed_url parse_url(std::string_view url)
{
    struct scheme {
        std::string_view name;
        std::string_view (*read)(std::string_view, server_address &);
        bool tls;
    };

    constexpr scheme schemes[]{{"redis://", read_tcp, false},
                               {"rediss://", read_tcp, true},
                               {"sentinel://", read_sentinels, false},
                               {"sentinels://", read_sentinels, true},
                               {"cluster://", read_cluster, false},
                               {"clusters://", read_cluster, true},
                               {"unix:", read_unix, false}};
    parsed_url parsed;

    for (const scheme &each : schemes) {
        if (url.starts_with(each.name)) {
            parsed.target.tls = each.tls;
            parsed.fault =
                each.read(url.substr(each.name.size()), parsed.target);
            return parsed;
        }
    }

    parsed.fault = "expected " + std::string(forms);
    return parsed;
}

} // namespace websocket::redis
