// Saves the parts of a handshake that the events of its client need.
#include "nginx/events/client_record.hpp"

#include "nginx/identity/identity.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace websocket::nginx::backend {

namespace {

// FastCGI and others do not distinguish "_" from "-", PHP does not "." and "["
// from them, and other applications no sign at all.
char normalized(char letter) noexcept
{
    const char lower = static_cast<char>(letter | 0x20);

    return lower >= 'a' && lower <= 'z'     ? lower
           : letter >= '0' && letter <= '9' ? letter
                                            : '-';
}

bool begins_with(std::string_view name, std::string_view prefix) noexcept
{
    return name.size() >= prefix.size() &&
           std::equal(prefix.begin(), prefix.end(), name.begin(),
                      [](char a, char b) { return a == normalized(b); });
}

std::string_view bytes_of(const sockaddr *address, socklen_t size) noexcept
{
    return {reinterpret_cast<const char *>(address), size};
}

// The address of our side, also if the listening socket has a wildcard.
std::string_view local_address(ngx_connection_t *c) noexcept
{
    return ngx_connection_local_sockaddr(c, nullptr, 0) == NGX_OK &&
                   c->local_sockaddr != nullptr
               ? bytes_of(c->local_sockaddr, c->local_socklen)
               : std::string_view{};
}

// Whether the path and the arguments are those of the request line.
bool is_whole_uri(const ngx_http_request_t *r) noexcept
{
    const std::string_view whole = view(r->unparsed_uri);
    const std::size_t mark = std::min(whole.find('?'), whole.size());

    return whole.substr(0, mark) == view(r->uri) &&
           whole.substr(std::min(mark + 1, whole.size())) == view(r->args);
}

// Whether $host is the field Host, which goes along.
bool is_host_field(const ngx_http_request_t *r) noexcept
{
    const ngx_table_elt_t *host = r->headers_in.host;

    return host != nullptr && view(host->value) == view(r->headers_in.server);
}

// The values of all header fields with this name in lower case, in one list.
std::string joined_values(ngx_http_request_t *r, std::string_view name)
{
    std::string joined;

    each_header(r, [&](const ngx_table_elt_t &header) {
        if (header.key.len == name.size() &&
            begins_with(view(header.key), name)) {
            joined += joined.empty() ? "" : ", ";
            joined += view(header.value);
        }
    });
    return joined;
}

// Empty, or of a family that nginx knows.
bool is_address(std::string_view bytes) noexcept
{
    sa_family_t family = AF_UNSPEC;

    if (bytes.size() >= offsetof(sockaddr, sa_data)) {
        ngx_memcpy(&family, bytes.data() + offsetof(sockaddr, sa_family),
                   sizeof(family));
    }

    switch (family) {
    case AF_INET:
        return bytes.size() >= sizeof(sockaddr_in);
#if (NGX_HAVE_INET6)
    case AF_INET6:
        return bytes.size() >= sizeof(sockaddr_in6);
#endif
    case AF_UNIX:
        return bytes.size() <= sizeof(sockaddr_un);
    default:
        return bytes.empty();
    }
}

void add_text(std::string &packed, std::string_view text)
{
    write_varint(packed, text.size());
    packed += text;
    packed += '\0';
}

// No field of a client has this name: see goes_along().
constexpr std::string_view user_field = "WebSocket-User";

void add_user(std::string &packed, std::string_view user)
{
    if (!user.empty()) {
        add_text(packed, user_field);
        add_text(packed, user);
    }
}

} // namespace

bool goes_along(std::string_view name) noexcept
{
    static constexpr std::array<std::string_view, 2> prefixes{"websocket-",
                                                              "sec-websocket-"};
    static constexpr std::array<std::string_view, 12> names{
        "accept-encoding", "connection",        "content-encoding",
        "content-length",  "content-type",      "expect",
        "http2-settings",  "keep-alive",        "te",
        "trailer",         "transfer-encoding", "upgrade",
    };

    return std::none_of(prefixes.begin(), prefixes.end(),
                        [name](std::string_view prefix) {
                            return begins_with(name, prefix);
                        }) &&
           std::none_of(names.begin(), names.end(), [name](auto each) {
               return each.size() == name.size() && begins_with(name, each);
           });
}

client_record::client_record(ngx_http_request_t *r, std::uint64_t id,
                             std::string_view key)
    : id_{id}
{
    ngx_connection_t *c = r->connection;
    std::string packed;

    const auto add = [&packed](std::string_view each) {
        add_text(packed, each);
    };

    // In the order of text
    add(key);
    add(view(r->unparsed_uri));

    const bool same = is_whole_uri(r);

    add(same ? std::string_view{} : view(r->uri));
    add(same ? std::string_view{} : view(r->args));
    add(is_host_field(r) ? std::string_view{} : view(r->headers_in.server));
    add(view(c->addr_text));
    add(bytes_of(c->sockaddr, c->socklen));
    add(local_address(c));
    add(joined_values(r, "sec-websocket-protocol"));

    each_header(r, [&add](const ngx_table_elt_t &header) {
        if (goes_along(view(header.key))) {
            add(view(header.key));
            add(view(header.value));
        }
    });

    if (const identity *of = identity_of(r); of != nullptr) {
        add_user(packed, of->user);
    }

    keep(packed);
}

client_record::client_record(std::string_view serialized)
    : id_{id_of(serialized)}
{
    keep(serialized.substr(sizeof(id_)));
}

std::uint64_t client_record::id_of(std::string_view serialized) noexcept
{
    std::uint64_t id;

    ngx_memcpy(&id, serialized.data(), sizeof(id));
    return id;
}

bool client_record::is_valid(std::string_view serialized) noexcept
{
    if (serialized.size() < sizeof(id_)) {
        return false;
    }

    std::string_view left = serialized.substr(sizeof(id_));
    std::size_t texts = 0;

    for (; !left.empty(); texts++) {
        const std::size_t digits =
            static_cast<std::size_t>(
                std::find_if(left.begin(), left.end(),
                             [](char each) { return (each & 0x80) == 0; }) -
                left.begin()) +
            1;

        if (digits > 5 || digits > left.size()) {
            return false;
        }

        const u_char *at = borrowed(left).data;
        const std::size_t size = read_varint(at);

        left.remove_prefix(digits);

        if (size >= left.size() || left[size] != '\0') {
            return false;
        }

        const auto which = static_cast<client_record::text>(texts);

        if ((which == text::socket_address || which == text::local_address) &&
            !is_address(left.substr(0, size))) {
            return false;
        }

        left.remove_prefix(size + 1);
    }

    const auto fixed = static_cast<std::size_t>(text::count);

    return texts >= fixed && (texts - fixed) % 2 == 0;
}

std::string client_record::serialize() const
{
    std::string bytes(reinterpret_cast<const char *>(&id_), sizeof(id_));

    return bytes.append(packed());
}

void client_record::keep(std::string_view packed)
{
    const auto size = static_cast<std::uint32_t>(packed.size());

    block_ = std::make_unique_for_overwrite<u_char[]>(sizeof(size) + size);
    ngx_memcpy(block_.get(), &size, sizeof(size));
    ngx_memcpy(block_.get() + sizeof(size), packed.data(), size);
}

std::string_view client_record::user() const noexcept
{
    std::string_view found;

    each_field([&found](std::string_view name, std::string_view value) {
        if (name == user_field) {
            found = value;
        }
    });
    return found;
}

void client_record::set_user(std::string_view user)
{
    std::string packed;

    for (std::size_t i = 0; i != static_cast<std::size_t>(text::count); i++) {
        add_text(packed, stored(static_cast<text>(i)));
    }

    each_field([&packed](std::string_view name, std::string_view value) {
        if (name != user_field) {
            add_text(packed, name);
            add_text(packed, value);
        }
    });
    add_user(packed, user);
    keep(packed);
}

std::string_view client_record::packed() const noexcept
{
    std::uint32_t size;

    ngx_memcpy(&size, block_.get(), sizeof(size));
    return {reinterpret_cast<const char *>(block_.get() + sizeof(size)), size};
}

std::string_view client_record::get(text which) const noexcept
{
    if (which != text::uri && which != text::args) {
        return stored(which);
    }

    // Nothing is stored of a URI that is as the client sent it
    if (!stored(text::uri).empty()) {
        return stored(which);
    }

    const std::string_view whole = stored(text::unparsed_uri);
    const std::size_t mark = std::min(whole.find('?'), whole.size());

    return which == text::uri ? whole.substr(0, mark)
                              : whole.substr(std::min(mark + 1, whole.size()));
}

std::string_view client_record::stored(text which) const noexcept
{
    const u_char *at = borrowed(packed()).data;

    for (auto i = static_cast<std::size_t>(which); i != 0; i--) {
        (void)next(at);
    }

    return next(at);
}

} // namespace websocket::nginx::backend
