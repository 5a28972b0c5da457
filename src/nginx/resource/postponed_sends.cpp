// The two lists in which a postponed send stands.
#include "nginx/resource/postponed_sends.hpp"

#include <algorithm>
#include <cstring>
#include <new>

namespace websocket::nginx {

postponed_send *
postponed_send::with_copy(std::span<const std::byte> bytes) noexcept
{
    std::unique_ptr<postponed_send> made(new (std::nothrow) postponed_send);

    if (!made) {
        return nullptr;
    }

    if (!bytes.empty()) {
        made->bytes_.reset(new (std::nothrow) std::byte[bytes.size()]);

        if (!made->bytes_) {
            return nullptr;
        }

        std::memcpy(made->bytes_.get(), bytes.data(), bytes.size());
        made->size_ = bytes.size();
    }

    return made.release();
}

postponed_send *
postponed_send::of_message(protocol::opcode kind,
                           std::span<const std::byte> payload) noexcept
{
    postponed_send *made = with_copy(payload);

    if (made != nullptr) {
        made->kind_ = kind;
    }

    return made;
}

postponed_send *postponed_send::of_frame(
    const std::shared_ptr<const shared_frame> &frame) noexcept
{
    auto *made = new (std::nothrow) postponed_send;

    if (made != nullptr) {
        made->frame_ = frame;
        made->size_ = frame->payload().size();
    }

    return made;
}

postponed_send *
postponed_send::of_end(std::span<const std::byte> control_frame) noexcept
{
    postponed_send *made = with_copy(control_frame);

    if (made != nullptr) {
        made->is_end_ = true;
    }

    return made;
}

postponed_send *postponed_list::first() noexcept
{
    return empty() ? nullptr
                   : ngx_queue_data(ngx_queue_head(&sends_->queue),
                                    postponed_send, in_list_);
}

void postponed_list::remove(postponed_send *sent) noexcept
{
    ngx_queue_remove(&sent->in_list_);
    ngx_queue_remove(&sent->in_queue_);
    sends_->cost -= sent->cost();
    delete sent;

    if (ngx_queue_empty(&sends_->queue)) {
        sends_.reset();
    }
}

void postponed_list::clear() noexcept
{
    if (empty()) {
        return;
    }

    for (ngx_queue_t *at = ngx_queue_head(&sends_->queue);
         at != ngx_queue_sentinel(&sends_->queue);) {
        auto *sent = ngx_queue_data(at, postponed_send, in_list_);

        at = ngx_queue_next(at);
        ngx_queue_remove(&sent->in_queue_);
        delete sent;
    }

    sends_.reset();
}

bool postponed_queue::add(postponed_send *what, membership &to,
                          postponed_list &list, std::uint64_t position) noexcept
{
    if (!list.sends_) {
        list.sends_.reset(new (std::nothrow) postponed_list::send_list);
    }

    if (!list.sends_) {
        delete what;
        return false;
    }

    what->to_ = &to;
    what->position_ = position;

    if (!empty()) {
        const postponed_send *last =
            ngx_queue_data(ngx_queue_last(&sends_), postponed_send, in_queue_);

        what->position_ = std::max(position, last->position_);
    }

    ngx_queue_insert_tail(&sends_, &what->in_queue_);
    ngx_queue_insert_tail(&list.sends_->queue, &what->in_list_);
    list.sends_->cost += what->cost();
    return true;
}

membership *postponed_queue::first_due(std::uint64_t reached) const noexcept
{
    if (empty()) {
        return nullptr;
    }

    const postponed_send *first =
        ngx_queue_data(ngx_queue_head(&sends_), postponed_send, in_queue_);

    return first->position_ <= reached ? first->to_ : nullptr;
}

} // namespace websocket::nginx
