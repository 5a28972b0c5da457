// The send queue of one client: the order of its bytes, and its memory.
#include "nginx/output/send_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <malloc.h>

using websocket::nginx::send_queue;
using websocket::protocol::shared_buffer;

namespace {

constexpr std::size_t kibibyte = 1024;
constexpr std::size_t mebibyte = 1024 * kibibyte;

std::span<const std::byte> bytes_of(std::string_view text)
{
    return std::as_bytes(std::span(text));
}

// A block with `text` in it, and capacity for at least `capacity` bytes.
shared_buffer block_with(std::string_view text, std::size_t capacity = 0)
{
    shared_buffer block =
        shared_buffer::allocate(std::max(text.size(), capacity));
    block.append(bytes_of(text));
    return block;
}

std::string numbered(std::size_t number, std::size_t size)
{
    std::string text = std::to_string(number) + ".";
    text.resize(std::max(text.size(), size), 'x');
    return text;
}

class waiting_frames : public testing::Test {
protected:
    // Adds a frame in a block that only the queue refers to.
    void add(std::string_view text, std::size_t capacity = 0)
    {
        const shared_buffer block = block_with(text, capacity);

        ASSERT_TRUE(queue_.add(block, block.bytes(), {.messages = 1}));
        expected_ += text;
    }

    void add_copy(std::string_view first, std::string_view second = {})
    {
        ASSERT_TRUE(queue_.add_copy(bytes_of(first), bytes_of(second),
                                    {.messages = 1}));
        expected_ += first;
        expected_ += second;
    }

    // Removes bytes from the front, as a socket does.
    std::string take(std::size_t size)
    {
        std::array<std::span<const std::byte>, 64> pieces;
        const std::size_t count = queue_.front(pieces, size);
        std::string taken;

        for (const auto piece : std::span(pieces).first(count)) {
            taken.append(reinterpret_cast<const char *>(piece.data()),
                         piece.size());
        }

        queue_.consume(taken.size());
        return taken;
    }

    std::string take_all(std::size_t step = SIZE_MAX)
    {
        std::string all;

        while (!queue_.empty()) {
            all += take(step);
        }

        return all;
    }

    send_queue queue_;
    std::string expected_;
};

// Under a sanitizer, malloc does not report its memory, and the result is 0.
class queue_memory : public waiting_frames {
protected:
    queue_memory()
    {
        expected_.reserve(max_expected);
        received_.reserve(max_expected);
        before_ = memory();
    }

    static std::size_t memory()
    {
        shared_buffer::clear_cache();

        const struct mallinfo2 heap = mallinfo2();
        return heap.uordblks + heap.hblkhd;
    }

    void expect_little_memory()
    {
        EXPECT_LE(memory() - before_, 2 * queue_.cost() + 8 * kibibyte)
            << queue_.size() << " bytes wait";
    }

    static constexpr std::size_t max_expected = 32 * mebibyte;
    std::string received_;
    std::size_t before_;
};

} // namespace

TEST_F(waiting_frames, leave_in_their_order)
{
    add("one");
    add_copy("two", "three");
    add(numbered(4, 20000));
    queue_.compact();
    add("five");
    add_copy("six");
    EXPECT_EQ(queue_.size(), expected_.size());
    EXPECT_EQ(take_all(), expected_);
    EXPECT_EQ(queue_.cost(), 0U);
}

TEST_F(waiting_frames, leave_in_their_order_however_they_are_cut)
{
    for (const std::size_t step : {1U, 7U, 1000U, 17000U}) {
        expected_.clear();

        for (std::size_t i = 0; i != 300; i++) {
            i % 3 == 0 ? add(numbered(i, i * 7 % 5000))
                       : add_copy(numbered(i, i), "second");

            if (i % 50 == 0) {
                const std::string taken = take(step * 3);
                ASSERT_EQ(taken, expected_.substr(0, taken.size()));
                expected_.erase(0, taken.size());
                queue_.compact();
            }
        }

        EXPECT_EQ(take_all(step), expected_);
    }
}

TEST_F(waiting_frames, of_one_block_are_one_piece)
{
    const shared_buffer block = block_with(numbered(0, 300));
    std::array<std::span<const std::byte>, 64> pieces;

    for (std::size_t at = 0; at != 300; at += 60) {
        ASSERT_TRUE(
            queue_.add(block, block.bytes().subspan(at, 60), {.messages = 1}));
    }

    ASSERT_EQ(queue_.front(pieces, SIZE_MAX), 1U);
    EXPECT_EQ(pieces[0].data(), block.data()) << "copied";
    EXPECT_EQ(pieces[0].size(), 300U);
}

TEST_F(waiting_frames, are_cut_at_the_size_asked_for)
{
    std::array<std::span<const std::byte>, 64> pieces;

    add(numbered(1, 5000));
    add(numbered(2, 5000));
    ASSERT_EQ(queue_.front(pieces, 7000), 2U);
    EXPECT_EQ(pieces[0].size(), 5000U);
    EXPECT_EQ(pieces[1].size(), 2000U);
    EXPECT_EQ(queue_.front(pieces, 5000), 1U);
}

TEST_F(waiting_frames, that_many_clients_share_are_shared_while_they_stay)
{
    const shared_buffer block = block_with(numbered(0, 600));
    const shared_buffer other = block_with("before");
    std::vector<send_queue> queues(100);

    for (send_queue &queue : queues) {
        std::array<std::span<const std::byte>, 2> pieces;

        ASSERT_TRUE(queue.add(other, other.bytes(), {.messages = 1}));
        queue.compact();
        ASSERT_TRUE(queue.add(block, block.bytes(), {.messages = 1}));
        ASSERT_EQ(queue.front(pieces, SIZE_MAX), 2U);
        EXPECT_EQ(pieces[1].data(), block.data()) << "copied";
    }
}

TEST_F(waiting_frames, are_dropped_and_counted_if_nothing_of_them_was_sent)
{
    for (std::size_t i = 0; i != 10; i++) {
        add(numbered(i, 1500));
    }

    EXPECT_EQ(take(100), expected_.substr(0, 100));
    EXPECT_EQ(queue_.drop_unsent(0), 9U);
    EXPECT_EQ(take_all(), expected_.substr(100, 1400));
}

TEST_F(waiting_frames, that_a_record_may_have_begun_are_not_dropped)
{
    for (std::size_t i = 0; i != 30; i++) {
        add(numbered(i, 1500));
    }

    EXPECT_EQ(queue_.drop_unsent(16 * kibibyte), 19U);
    EXPECT_EQ(take_all(), expected_.substr(0, 11 * 1500));
}

TEST_F(waiting_frames, are_dropped_whole_where_many_share_blocks)
{
    add("first");
    queue_.compact();

    for (std::size_t i = 0; i != 200; i++) {
        add_copy(numbered(i, 99));
    }

    EXPECT_EQ(take(1), "f");

    const std::uint64_t dropped = queue_.drop_unsent(0);
    const std::size_t left = 4 + (200 - dropped) * 99;

    EXPECT_GT(dropped, 0U);
    EXPECT_EQ(take_all(), expected_.substr(1, left));
}

TEST_F(queue_memory, of_small_frames_is_little_while_they_stay)
{
    for (const std::size_t size : {2U, 3U, 66U, 500U, 1100U, 5000U}) {
        add("first");
        queue_.compact();

        while (queue_.size() < mebibyte) {
            add(numbered(1, size));
        }

        expect_little_memory();
        EXPECT_LE(queue_.cost(), queue_.size() + queue_.size() / 16);
        EXPECT_EQ(take_all(), expected_);
        expected_.clear();
    }
}

TEST_F(queue_memory, of_small_frames_is_little_before_it_is_known_to_stay)
{
    while (queue_.size() < mebibyte) {
        add("x");
    }

    expect_little_memory();
    EXPECT_EQ(take_all(), expected_);
}

TEST_F(queue_memory, of_frames_in_blocks_that_are_too_large_is_little)
{
    for (std::size_t i = 0; i != 10; i++) {
        add(numbered(i, 700), 200 * kibibyte);
    }

    queue_.compact();
    expect_little_memory();
    EXPECT_EQ(take_all(), expected_);
}

TEST_F(queue_memory, of_a_frame_that_is_nearly_sent_is_little)
{
    add(numbered(1, mebibyte));

    for (const std::size_t rest :
         {700000U, 300000U, 60000U, 20000U, 2000U, 10U}) {
        received_ += take(queue_.size() - rest);
        queue_.compact();
        expect_little_memory();
    }

    EXPECT_EQ(received_ + take_all(), expected_);
}

TEST_F(queue_memory, of_what_is_read_slowly_is_little)
{
    std::size_t number = 0;

    for (std::size_t round = 0; round != 500; round++) {
        while (queue_.size() < 64 * kibibyte) {
            number++;
            number % 5 == 0 ? add(numbered(number, number * 13 % 9000))
                            : add_copy(numbered(number, number % 100));
        }

        received_ += take(1 + round * 97 % 40000);
        queue_.compact();
        expect_little_memory();
    }

    EXPECT_EQ(received_ + take_all(), expected_);
    EXPECT_EQ(queue_.cost(), 0U);
    EXPECT_LE(memory() - before_, 4 * kibibyte);
}
