// Resolves the name of a Redis server.
#include "nginx/redis_io/resolver.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <span>

namespace websocket::nginx {

namespace {

// Numeric, without a port, for hiredis.
std::string address_text(sockaddr *address, socklen_t size)
{
    std::array<char, NGX_SOCKADDR_STRLEN> text;
    const std::size_t length = ngx_sock_ntop(
        address, size, reinterpret_cast<u_char *>(text.data()), text.size(), 0);

    return {text.data(), length};
}

template <class Address>
std::vector<std::string> address_texts(std::span<const Address> addresses)
{
    std::vector<std::string> texts;

    for (const Address &address : addresses) {
        std::string text = address_text(address.sockaddr, address.socklen);

        if (std::find(texts.begin(), texts.end(), text) == texts.end()) {
            texts.push_back(std::move(text));
        }
    }

    return texts;
}

} // namespace

bool resolve_redis_addresses(ngx_conf_t *cf, redis_settings &settings,
                             std::string &reason)
{
    ngx_url_t url{};

    url.url = borrowed(settings.name);
    url.default_port = settings.target.port;

    if (ngx_parse_url(cf->pool, &url) != NGX_OK) {
        reason = url.err == nullptr ? "no memory" : url.err;
        return false;
    }

    settings.addresses =
        address_texts(std::span<const ngx_addr_t>{url.addrs, url.naddrs});
    return true;
}

void redis_lookup::start(const redis_settings &settings,
                         result_callback callback, void *data) noexcept
{
    cancel();

    ngx_resolver_ctx_t *query = ngx_resolve_start(settings.resolver, nullptr);

    if (query == nullptr || query == NGX_NO_RESOLVER) {
        callback(data, nullptr, "no resolver");
        return;
    }

    query->name = borrowed(settings.target.host);
    query->handler = on_answer;
    query->data = this;
    query->timeout = settings.connect_timeout;
    query->cancelable = 1; // must not delay graceful shutdown

    context_ = query;
    callback_ = callback;
    data_ = data;

    // Calls on_answer() at once if the answer is cached
    if (ngx_resolve_name(query) != NGX_OK) {
        context_ = nullptr;
        callback(data, nullptr, "no resolver");
    }
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
    std::vector<std::string> found;

    try {
        found = address_texts(std::span<const ngx_resolver_addr_t>{
            context->addrs, context->state == 0 ? context->naddrs : 0});
        std::sort(found.begin(), found.end());
    } catch (const std::bad_alloc &) {
        found.clear();
    }

    self.cancel();
    callback(data, found.empty() ? nullptr : &found, reason);
}

} // namespace websocket::nginx
