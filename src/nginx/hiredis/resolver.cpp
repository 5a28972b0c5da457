// Asks where a Redis server's name leads.
#include "nginx/hiredis/resolver.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <span>

namespace websocket::nginx {

namespace {

// As hiredis takes it, without a port.
std::string printed(sockaddr *address, socklen_t size)
{
    std::array<char, NGX_SOCKADDR_STRLEN> text;
    const std::size_t length = ngx_sock_ntop(
        address, size, reinterpret_cast<u_char *>(text.data()), text.size(), 0);

    return {text.data(), length};
}

template <class Address>
std::vector<std::string> all_printed(std::span<const Address> addresses)
{
    std::vector<std::string> texts;

    for (const Address &address : addresses) {
        std::string text = printed(address.sockaddr, address.socklen);

        if (std::find(texts.begin(), texts.end(), text) == texts.end()) {
            texts.push_back(std::move(text));
        }
    }

    return texts;
}

} // namespace

bool find_redis_addresses(ngx_conf_t *cf, redis_settings &settings,
                          std::string &why)
{
    ngx_url_t url{};

    url.url = borrowed(settings.name);
    url.default_port = settings.target.port;

    if (ngx_parse_url(cf->pool, &url) != NGX_OK) {
        why = url.err == nullptr ? "no memory" : url.err;
        return false;
    }

    settings.addresses =
        all_printed(std::span<const ngx_addr_t>{url.addrs, url.naddrs});
    return true;
}

void redis_lookup::ask(const redis_settings &settings, answer called,
                       void *data) noexcept
{
    cancel();

    ngx_resolver_ctx_t *asked = ngx_resolve_start(settings.resolver, nullptr);

    if (asked == nullptr || asked == NGX_NO_RESOLVER) {
        called(data, nullptr, "the resolver cannot be asked");
        return;
    }

    asked->name = borrowed(settings.target.host);
    asked->handler = answered;
    asked->data = this;
    asked->timeout = settings.connect_timeout;
    asked->cancelable = 1; // it does not keep a leaving worker

    context_ = asked;
    called_ = called;
    data_ = data;

    // What is known it answers at once
    if (ngx_resolve_name(asked) != NGX_OK) {
        context_ = nullptr;
        called(data, nullptr, "the resolver cannot be asked");
    }
}

void redis_lookup::cancel() noexcept
{
    if (context_ != nullptr) {
        ngx_resolve_name_done(context_);
        context_ = nullptr;
    }
}

// nginx turns the addresses round at each answer; all who ask are to try them
// in one order, or they might end up at different servers.
void redis_lookup::answered(ngx_resolver_ctx_t *context) noexcept
{
    auto &self = *static_cast<redis_lookup *>(context->data);
    const answer called = self.called_;
    void *data = self.data_;
    const char *why = context->state == 0
                          ? "no memory"
                          : ngx_resolver_strerror(context->state);
    std::vector<std::string> found;

    try {
        found = all_printed(std::span<const ngx_resolver_addr_t>{
            context->addrs, context->state == 0 ? context->naddrs : 0});
        std::sort(found.begin(), found.end());
    } catch (const std::bad_alloc &) {
        found.clear();
    }

    self.cancel();
    called(data, found.empty() ? nullptr : &found, why);
}

} // namespace websocket::nginx
