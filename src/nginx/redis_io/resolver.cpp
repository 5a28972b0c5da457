// Finds the addresses of a Redis server.
#include "nginx/redis_io/resolver.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <span>

namespace websocket::nginx {

namespace {

redis_peer peer_at(const sockaddr *address, socklen_t size,
                   const std::string &host, std::uint16_t port)
{
    std::array<char, NGX_SOCKADDR_STRLEN> text;
    redis_peer peer;

    ngx_memcpy(&peer.address, address, size);
    ngx_inet_set_port(&peer.address.sockaddr, port);
    peer.size = size;
    peer.host = host;
    peer.text.assign(text.data(),
                     ngx_sock_ntop(&peer.address.sockaddr, size,
                                   reinterpret_cast<u_char *>(text.data()),
                                   text.size(), 0));
    return peer;
}

// Each address once.
template <class Address>
std::vector<redis_peer> peers_at(std::span<const Address> addresses,
                                 const std::string &host, std::uint16_t port)
{
    std::vector<redis_peer> peers;

    for (const Address &address : addresses) {
        redis_peer peer =
            peer_at(address.sockaddr, address.socklen, host, port);

        if (std::none_of(peers.begin(), peers.end(), [&peer](const auto &each) {
                return each.text == peer.text;
            })) {
            peers.push_back(std::move(peer));
        }
    }

    return peers;
}

} // namespace

bool find_peers(ngx_pool_t *pool, const redis::server_address &server,
                bool resolve, std::vector<redis_peer> &peers,
                std::string &reason)
{
    const std::string name = server.name();
    ngx_url_t url{};

    url.url = borrowed(name);
    url.no_resolve = !resolve;

    if (ngx_parse_url(pool, &url) != NGX_OK) {
        reason = url.err == nullptr ? "no memory" : url.err;
        return false;
    }

    peers = peers_at(std::span<const ngx_addr_t>{url.addrs, url.naddrs},
                     server.host, server.port);
    return true;
}

void redis_lookup::start(const redis_settings &settings,
                         const redis::server_address &server,
                         result_callback callback, void *data) noexcept
try {
    cancel();
    host_ = server.host;

    ngx_resolver_ctx_t *query = ngx_resolve_start(settings.resolver, nullptr);

    if (query == nullptr || query == NGX_NO_RESOLVER) {
        callback(data, nullptr, "no resolver");
        return;
    }

    query->name = borrowed(host_);
    query->handler = on_answer;
    query->data = this;
    query->timeout = settings.connect_timeout;
    query->cancelable = 1; // must not delay graceful shutdown

    context_ = query;
    callback_ = callback;
    data_ = data;
    port_ = server.port;

    // Calls on_answer() at once if the answer is cached
    if (ngx_resolve_name(query) != NGX_OK) {
        context_ = nullptr;
        callback(data, nullptr, "no resolver");
    }

} catch (const std::bad_alloc &) {
    callback(data, nullptr, "no memory");
}

void redis_lookup::cancel() noexcept
{
    if (context_ != nullptr) {
        ngx_resolve_name_done(context_);
        context_ = nullptr;
    }
}

// nginx rotates the addresses with each answer. They are sorted, because
// workers that try them in different orders could use different servers.
void redis_lookup::on_answer(ngx_resolver_ctx_t *context) noexcept
{
    auto &self = *static_cast<redis_lookup *>(context->data);
    const result_callback callback = self.callback_;
    void *data = self.data_;
    const char *reason = context->state == 0
                             ? "no memory"
                             : ngx_resolver_strerror(context->state);
    std::vector<redis_peer> found;

    try {
        found = peers_at(
            std::span<const ngx_resolver_addr_t>{
                context->addrs, context->state == 0 ? context->naddrs : 0},
            self.host_, self.port_);
        std::sort(found.begin(), found.end(),
                  [](const auto &one, const auto &other) {
                      return one.text < other.text;
                  });
    } catch (const std::bad_alloc &) {
        found.clear();
    }

    self.cancel();
    callback(data, found.empty() ? nullptr : &found, reason);
}

} // namespace websocket::nginx
