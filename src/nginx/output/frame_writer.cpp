// Collects frames and sends them.
#include "nginx/output/frame_writer.hpp"

#include "nginx/output/transport.hpp"

#include <algorithm>
#include <cstring>
#include <functional>

namespace websocket::nginx {

bool payload_ref::contains(std::span<const std::byte> part) const noexcept
{
    const std::less_equal<const std::byte *> ordered;

    return ordered(bytes.data(), part.data()) &&
           ordered(part.data() + part.size(), bytes.data() + bytes.size());
}

bool payload_ref::contains_text(std::span<const std::byte> part) const noexcept
{
    const auto inside_character = [](std::byte next) {
        return (next & std::byte{0xC0}) == std::byte{0x80};
    };

    if (part.empty() || !contains(part)) {
        return part.empty();
    }

    const std::byte *after = part.data() + part.size();

    return !inside_character(part.front()) &&
           (after == bytes.data() + bytes.size() || !inside_character(*after));
}

bool write_batch::has_capacity(std::size_t size,
                               std::size_t pieces) const noexcept
{
    return block_size - used_ >= size &&
           pieces_.size() - piece_count_ >= pieces;
}

inline void write_batch::copy(std::span<const std::byte> bytes,
                              std::uint32_t messages) noexcept
{
    if (bytes.empty()) {
        return;
    }

    std::byte *to = block_.data() + used_;
    std::memcpy(to, bytes.data(), bytes.size());

    piece &last = open_ != nullptr ? *open_ : open_piece();

    last.bytes = {last.bytes.data(), to + bytes.size()};
    last.messages += messages;
    used_ += bytes.size();
}

// Begins a piece of the bytes that are added to the block next. The holders of
// unused pieces are empty.
write_batch::piece &write_batch::open_piece() noexcept
{
    open_ = &pieces_[piece_count_++];
    open_->bytes = {block_.data() + used_, 0};
    open_->messages = 0;
    open_->referenced = false;
    open_->has_header = false;
    return *open_;
}

void write_batch::reference(std::span<const std::byte> bytes,
                            const protocol::shared_buffer &holder) noexcept
{
    pieces_[piece_count_++] = {bytes, holder, 0, true};
    open_ = nullptr;
}

void write_batch::reference_frame(std::span<const std::byte> frame) noexcept
{
    pieces_[piece_count_++] = {frame, {}, 1, true, true};
    open_ = nullptr;
}

inline std::size_t write_batch::size() const noexcept
{
    std::size_t sum = 0;

    for (std::size_t i = 0; i != piece_count_; i++) {
        sum += pieces_[i].bytes.size();
    }

    return sum;
}

void write_batch::clear() noexcept
{
    for (std::size_t i = 0; i != piece_count_; i++) {
        pieces_[i].holder.reset();
    }

    used_ = 0;
    piece_count_ = 0;
    open_ = nullptr;
}

frame_writer::~frame_writer()
{
    if (gathering()) {
        batch_.clear();
        batch_.owner = nullptr;
    }
}

void frame_writer::begin_turn() noexcept
{
    batch_.owner = this;
}

void frame_writer::end_turn() noexcept
{
    if (gathering()) {
        broken_ = !flush_batch() || broken_;
        batch_.owner = nullptr;
    }
}

// Writes a message that did not fit in the block at once.
bool frame_writer::write_frame(protocol::opcode kind,
                               std::span<const std::byte> payload) noexcept
{
    std::array<std::byte, protocol::max_server_header> space;
    const std::span header = std::span(space).first(
        protocol::write_header(space.data(), kind, payload.size()));

    return write(header, payload, {.messages = 1});
}

bool frame_writer::write_unframed(std::span<const std::byte> payload) noexcept
{
    return write(payload, {}, {.messages = 1});
}

bool frame_writer::write_bytes(std::span<const std::byte> bytes) noexcept
{
    return write(bytes, {}, {});
}

bool frame_writer::write_shared(const protocol::shared_slice &frame) noexcept
{
    bool written = false;

    if (gathering() && queue_.empty() &&
        frame.bytes.size() < write_batch::min_reference_size) {
        written = gather(frame.bytes, {}, {.messages = 1});
    } else {
        // The batch is sent first
        written = (!gathering() || flush_batch()) &&
                  queue_.add(frame.holder, frame.bytes, {.messages = 1});
    }

    broken_ = broken_ || !written;
    return written;
}

inline bool frame_writer::write(std::span<const std::byte> header,
                                std::span<const std::byte> payload,
                                send_queue::content what) noexcept
{
    const bool written = gathering() && queue_.empty()
                             ? gather(header, payload, what)
                             : queue_.add_copy(header, payload, what);

    broken_ = broken_ || !written;
    return written;
}

inline bool frame_writer::gather(std::span<const std::byte> header,
                                 std::span<const std::byte> payload,
                                 send_queue::content what) noexcept
{
    const bool by_reference =
        payload.size() >= write_batch::min_reference_size &&
        received_.contains(payload) && transport::supports_writev(connection_);
    const std::size_t copied =
        header.size() + (by_reference ? 0 : payload.size());

    if (copied > write_batch::block_size) {
        // Too large for the block: it is sent by itself, after the batch
        return flush_batch() && queue_.add_copy(header, payload, what) &&
               flush() != NGX_ERROR;
    }

    if (!reserve_batch(copied, 2)) {
        return false;
    }

    if (!queue_.empty()) {
        return queue_.add_copy(header, payload, what);
    }

    if (const auto frame = by_reference ? prepend_header(payload, header)
                                        : std::span<const std::byte>{};
        !frame.empty()) {
        batch_.reference_frame(frame);
        return true;
    }

    batch_.copy(header, what.messages);

    if (by_reference) {
        batch_.reference(payload, received_.holder != nullptr
                                      ? *received_.holder
                                      : protocol::shared_buffer{});
    } else {
        batch_.copy(payload, 0);
    }

    return true;
}

// If a whole message is sent back, its header is written in front of it, over
// the client's header, so that both are one piece. This works once per message,
// because the space is used then. Returns the frame, or nothing if it is not
// possible.
inline std::span<const std::byte>
frame_writer::prepend_header(std::span<const std::byte> payload,
                             std::span<const std::byte> header) noexcept
{
    if (payload.data() != received_.bytes.data() ||
        received_.headroom < header.size()) {
        return {};
    }

    std::byte *begin = received_.bytes.data() - header.size();

    received_.headroom = 0;
    std::memcpy(begin, header.data(), header.size());
    return {begin, header.size() + payload.size()};
}

inline bool frame_writer::reserve_batch(std::size_t size,
                                        std::size_t pieces) noexcept
{
    return batch_.has_capacity(size, pieces) || flush_batch();
}

// The batch is only used while the queue is empty, which keeps the order.
bool frame_writer::flush_batch() noexcept
{
    if (batch_.empty()) {
        return true;
    }

    const ssize_t sent = send_pieces();
    const bool all = sent == static_cast<ssize_t>(batch_.size());
    const bool intact =
        all || (sent >= 0 && queue_unsent(static_cast<std::size_t>(sent)));

    batch_.clear();
    return intact;
}

ssize_t frame_writer::send_pieces() noexcept
{
    const std::size_t count = batch_.piece_count_;

    if (count == 1 && body_ == nullptr) {
        return transport::send(connection_, batch_.pieces_[0].bytes);
    }

    std::array<std::span<const std::byte>, transport::max_pieces> pieces;

    for (std::size_t i = 0; i != count; i++) {
        pieces[i] = batch_.pieces_[i].bytes;
    }

    return transmit(std::span(pieces).first(count));
}

ssize_t frame_writer::transmit(
    std::span<const std::span<const std::byte>> pieces) noexcept
{
    return body_ != nullptr ? body_->send(pieces)
                            : transport::send(connection_, pieces);
}

bool frame_writer::queue_unsent(std::size_t sent) noexcept
{
    for (std::size_t i = 0; i != batch_.piece_count_; i++) {
        const write_batch::piece &piece = batch_.pieces_[i];
        const std::size_t skipped = std::min(sent, piece.bytes.size());
        const std::span<const std::byte> rest = piece.bytes.subspan(skipped);

        sent -= skipped;

        // A piece of the block ends with the header of a referenced piece that
        // follows, unless that piece includes its own
        const send_queue::content what{
            .messages = piece.messages,
            .ends_frame = piece.referenced || i + 1 == batch_.piece_count_ ||
                          batch_.pieces_[i + 1].has_header};
        const bool queued = piece.holder ? queue_.add(piece.holder, rest, what)
                                         : queue_.add_copy(rest, {}, what);
        if (!queued) {
            return false;
        }
    }

    return true;
}

ngx_int_t frame_writer::flush(std::size_t budget) noexcept
{
    if (gathering() && !flush_batch()) {
        broken_ = true;
    }

    if (broken_) {
        return NGX_ERROR;
    }

    return queue_.empty() ? NGX_OK : send_queued(budget);
}

inline ssize_t frame_writer::send_first(std::size_t budget) noexcept
{
    const std::span<const std::byte> only = queue_.only_piece();

    return only.empty() || body_ != nullptr
               ? send_first_pieces(budget)
               : transport::send(connection_,
                                 only.first(std::min(only.size(), budget)));
}

ssize_t frame_writer::send_first_pieces(std::size_t budget) noexcept
{
    std::array<std::span<const std::byte>, transport::max_pieces> pieces;
    const std::size_t count = queue_.front(pieces, budget);

    return transmit(std::span(pieces).first(count));
}

ngx_int_t frame_writer::send_queued(std::size_t budget) noexcept
{
    while (connection_->write->ready && budget != 0) {
        const ssize_t sent = send_first(budget);

        if (sent < 0) {
            return NGX_ERROR;
        }

        const auto size = static_cast<std::size_t>(sent);

        queue_.consume(size);
        budget -= std::min(size, budget);

        if (queue_.empty()) {
            return NGX_OK;
        }
    }

    queue_.compact();
    return NGX_AGAIN;
}

} // namespace websocket::nginx
