// Evaluates variables into pools other than the request's.
#include "nginx/request/variable_reader.hpp"

#include "nginx/request/captures.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace websocket::nginx {

namespace {

constexpr std::size_t pool_size = 256; // bytes; grows for a longer value

bool is_same(const ngx_http_variable_value_t &a,
             const ngx_http_variable_value_t &b) noexcept
{
    return a.valid == b.valid && a.not_found == b.not_found && a.len == b.len &&
           a.data == b.data;
}

bool is_evaluated(const ngx_http_variable_value_t &value) noexcept
{
    return value.valid || value.not_found;
}

// While it exists, the request uses another pool. restore() reports whether the
// request references the pool's memory afterwards.
class scoped_pool {
public:
    // Throws std::bad_alloc.
    scoped_pool(ngx_http_request_t *r, ngx_pool_t *memory)
        : request_{r}, pool_{std::exchange(r->pool, memory)},
          cleanup_{r->cleanup}, captures_{r}
    {
        try {
            variables_.assign(r->variables, r->variables + variable_count());
            contexts_.assign(r->ctx, r->ctx + ngx_http_max_module);
        } catch (const std::bad_alloc &) {
            r->pool = pool_;
            throw;
        }
    }

    scoped_pool(const scoped_pool &) = delete;
    scoped_pool &operator=(const scoped_pool &) = delete;
    ~scoped_pool() { request_->pool = pool_; }

    // Keeps variables that nginx evaluates only once per request, and restores
    // the old value of all others. True if the request references the pool.
    bool restore() noexcept
    {
        bool referred =
            request_->cleanup != cleanup_ ||
            !std::equal(contexts_.begin(), contexts_.end(), request_->ctx);

        for (std::size_t i = 0; i != variables_.size(); i++) {
            ngx_http_variable_value_t &now = request_->variables[i];
            const ngx_http_variable_value_t &before = variables_[i];

            if (is_same(now, before)) {
                continue;
            }

            if (!is_evaluated(before) && !now.no_cacheable) {
                referred = true;
            } else {
                now = before;
            }
        }

        return referred;
    }

private:
    std::size_t variable_count() const noexcept
    {
        return static_cast<ngx_http_core_main_conf_t *>(
                   ngx_http_get_module_main_conf(request_,
                                                 ngx_http_core_module))
            ->variables.nelts;
    }

    ngx_http_request_t *request_;
    ngx_pool_t *pool_;
    ngx_http_cleanup_t *cleanup_;
    request_captures captures_;
    std::vector<ngx_http_variable_value_t> variables_;
    std::vector<void *> contexts_;
};

std::optional<std::string_view>
text_of(const ngx_http_variable_value_t *value) noexcept
{
    if (value == nullptr || value->not_found) {
        return std::nullopt;
    }

    return std::string_view{reinterpret_cast<char *>(value->data), value->len};
}

std::string lowered_name(std::string_view name)
{
    std::string result(name);

    for (char &c : result) {
        c = static_cast<char>(ngx_tolower(c));
    }

    return result;
}

} // namespace

variable_reader::value &variable_reader::slot_for(std::string name)
{
    const auto found =
        std::find_if(values_.begin(), values_.end(),
                     [&name](const value &each) { return each.name == name; });

    if (found != values_.end()) {
        return *found;
    }

    if (values_.size() < max_values) {
        return values_.emplace_back(value{std::move(name), {}});
    }

    value &replaced =
        values_[std::exchange(oldest_, (oldest_ + 1) % max_values)];

    replaced.name = std::move(name);
    return replaced;
}

std::optional<std::string_view>
variable_reader::read(ngx_http_request_t *r, std::string_view name) noexcept
try {
    value &slot = slot_for(lowered_name(name));

    slot.memory.reset(ngx_create_pool(pool_size, r->connection->log));

    if (slot.memory == nullptr) {
        return std::nullopt;
    }

    kept_.reserve(kept_.size() + 1);

    ngx_str_t known = borrowed(slot.name);
    scoped_pool scope(r, slot.memory.get());
    const auto text = text_of(
        ngx_http_get_variable(r, &known, ngx_hash_key(known.data, known.len)));

    if (scope.restore()) {
        kept_.push_back(std::move(slot.memory));
    }

    return text;

} catch (const std::bad_alloc &) {
    return std::nullopt;
}

} // namespace websocket::nginx
