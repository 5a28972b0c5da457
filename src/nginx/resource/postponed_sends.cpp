// Creates postponed sends, and links each into two lists.
#include "nginx/resource/postponed_sends.hpp"

#include <algorithm>
#include <cstring>
#include <new>

namespace websocket::nginx {

postponed_send *
postponed_send::create_copy(std::span<const std::byte> bytes) noexcept
{
    std::unique_ptr<postponed_send> result(new (std::nothrow) postponed_send);

    if (!result) {
        return nullptr;
    }

    if (!bytes.empty()) {
        result->bytes_.reset(new (std::nothrow) std::byte[bytes.size()]);

        if (!result->bytes_) {
            return nullptr;
        }

        std::memcpy(result->bytes_.get(), bytes.data(), bytes.size());
        result->size_ = bytes.size();
    }

    return result.release();
}

postponed_send *
postponed_send::create_message(protocol::opcode kind,
                               std::span<const std::byte> payload) noexcept
{
    postponed_send *result = create_copy(payload);

    if (result != nullptr) {
        result->kind_ = kind;
    }

    return result;
}

postponed_send *postponed_send::create_shared(
    const std::shared_ptr<const shared_frame> &frame) noexcept
{
    auto *result = new (std::nothrow) postponed_send;

    if (result != nullptr) {
        result->frame_ = frame;
        result->size_ = frame->payload().size();
    }

    return result;
}

postponed_send *
postponed_send::create_close(std::span<const std::byte> control_frame) noexcept
{
    postponed_send *result = create_copy(control_frame);

    if (result != nullptr) {
        result->is_close_ = true;
    }

    return result;
}

postponed_send *postponed_list::first() noexcept
{
    return empty() ? nullptr
                   : postponed_send::from_session_link(
                         ngx_queue_head(&sends_->queue));
}

void postponed_list::remove(postponed_send *send) noexcept
{
    ngx_queue_remove(send->session_link());
    ngx_queue_remove(send->resource_link());
    sends_->cost -= send->cost();
    delete send;

    if (ngx_queue_empty(&sends_->queue)) {
        sends_.reset();
    }
}

void postponed_list::clear() noexcept
{
    if (empty()) {
        return;
    }

    for (ngx_queue_t *it = ngx_queue_head(&sends_->queue);
         it != ngx_queue_sentinel(&sends_->queue);) {
        auto *send = postponed_send::from_session_link(it);

        it = ngx_queue_next(it);
        ngx_queue_remove(send->resource_link());
        delete send;
    }

    sends_.reset();
}

bool postponed_queue::add(postponed_send *send, membership &client,
                          postponed_list &list, std::uint64_t position) noexcept
{
    if (!list.sends_) {
        list.sends_.reset(new (std::nothrow) postponed_list::send_list);
    }

    if (!list.sends_) {
        delete send;
        return false;
    }

    send->client_ = &client;
    send->position_ = position;

    if (!empty()) {
        const postponed_send *last =
            postponed_send::from_resource_link(ngx_queue_last(&sends_));

        send->position_ = std::max(position, last->position_);
    }

    ngx_queue_insert_tail(&sends_, send->resource_link());
    ngx_queue_insert_tail(&list.sends_->queue, send->session_link());
    list.sends_->cost += send->cost();
    return true;
}

membership *postponed_queue::first_due(std::uint64_t delivered) const noexcept
{
    if (empty()) {
        return nullptr;
    }

    const postponed_send *first =
        postponed_send::from_resource_link(ngx_queue_head(&sends_));

    return first->position_ <= delivered ? first->client_ : nullptr;
}

} // namespace websocket::nginx
