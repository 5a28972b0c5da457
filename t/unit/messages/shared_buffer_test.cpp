// References to blocks of bytes, and the cache of blocks that saves calls of
// malloc.
#include "protocol/frames/shared_buffer.hpp"

#include "frame_builder.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using websocket::protocol::shared_buffer;

namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

std::span<const std::byte> bytes_of(std::string_view text)
{
    return std::as_bytes(std::span(text));
}

shared_buffer buffer_with(std::string_view text)
{
    shared_buffer buffer = shared_buffer::allocate(text.size());
    buffer.append(bytes_of(text));
    return buffer;
}

// Holds blocks of a mebibyte at the same time, and frees them.
void use_at_once(std::size_t count)
{
    std::vector<shared_buffer> buffers;

    for (std::size_t i = 0; i != count; i++) {
        buffers.push_back(shared_buffer::allocate(mebibyte));
    }
}

unsigned begun = 0;

class shared_buffer_memory : public testing::Test {
protected:
    shared_buffer_memory() { shared_buffer::clear_cache(); }

    std::size_t allocations() const
    {
        return shared_buffer::allocations() - before_;
    }

private:
    std::size_t before_ = shared_buffer::allocations();
};

class shared_buffer_surplus : public shared_buffer_memory {
protected:
    shared_buffer_surplus()
    {
        begun = 0;
        shared_buffer::enable_cache([]() noexcept { begun++; });
    }

    ~shared_buffer_surplus() override
    {
        shared_buffer::clear_cache();
        shared_buffer::enable_cache(nullptr);
    }
};

} // namespace

TEST(shared_buffer, created_without_a_block_is_empty)
{
    const shared_buffer none;

    EXPECT_FALSE(none);
    EXPECT_FALSE(shared_buffer{none});
}

TEST(shared_buffer, allocated_has_room_and_no_bytes)
{
    for (const std::size_t wanted :
         {std::size_t{0}, std::size_t{1}, std::size_t{1024}, std::size_t{1025},
          mebibyte, mebibyte + 1, 3 * mebibyte}) {
        const shared_buffer buffer = shared_buffer::allocate(wanted);

        ASSERT_TRUE(buffer);
        EXPECT_EQ(buffer.size(), 0U);
        EXPECT_GE(buffer.capacity(), wanted);
        EXPECT_TRUE(buffer.unique());
    }
}

TEST(shared_buffer, appended_bytes_follow_those_before)
{
    shared_buffer buffer = shared_buffer::allocate(16);

    buffer.append(bytes_of("one "));
    buffer.append({});
    buffer.append(bytes_of("two"));

    EXPECT_EQ(frames::as_string(buffer.bytes()), "one two");
}

TEST(shared_buffer, extended_counts_bytes_that_are_there)
{
    shared_buffer buffer = buffer_with("one");

    buffer.data()[3] = std::byte{'!'};
    buffer.extend(1);

    EXPECT_EQ(frames::as_string(buffer.bytes()), "one!");
}

TEST(shared_buffer, copied_shares_the_block)
{
    shared_buffer buffer = buffer_with("shared");
    const shared_buffer copy = buffer;

    EXPECT_EQ(copy.data(), buffer.data());
    EXPECT_FALSE(buffer.unique());

    buffer.reset();
    EXPECT_FALSE(buffer);
    EXPECT_TRUE(copy.unique());
    EXPECT_EQ(frames::as_string(copy.bytes()), "shared");
}

TEST(shared_buffer, moved_hands_the_block_over)
{
    shared_buffer buffer = buffer_with("moved");
    const std::byte *data = buffer.data();
    const shared_buffer taken = std::move(buffer);

    EXPECT_FALSE(buffer);
    EXPECT_TRUE(taken.unique());
    EXPECT_EQ(taken.data(), data);
}

TEST(shared_buffer, assigned_gives_its_own_block_back)
{
    shared_buffer buffer = buffer_with("old");
    const shared_buffer old = buffer;

    buffer = buffer_with("new");

    EXPECT_TRUE(old.unique());
    EXPECT_EQ(frames::as_string(buffer.bytes()), "new");
}

TEST(shared_buffer, assigned_to_itself_keeps_its_block)
{
    shared_buffer buffer = buffer_with("same");
    const shared_buffer &alias = buffer;

    buffer = alias;

    EXPECT_TRUE(buffer.unique());
    EXPECT_EQ(frames::as_string(buffer.bytes()), "same");
}

TEST(shared_buffer, reserved_keeps_the_content)
{
    for (const std::size_t wanted :
         {std::size_t{10}, std::size_t{5000}, mebibyte + 1, 8 * mebibyte}) {
        shared_buffer buffer = buffer_with("kept");

        ASSERT_TRUE(buffer.reserve(wanted));
        EXPECT_GE(buffer.capacity(), wanted);
        EXPECT_EQ(frames::as_string(buffer.bytes()), "kept");

        ASSERT_TRUE(buffer.reserve(buffer.capacity() + 1));
        EXPECT_EQ(frames::as_string(buffer.bytes()), "kept");
    }
}

TEST(shared_buffer, reserved_within_its_room_does_not_move)
{
    shared_buffer buffer = buffer_with("here");
    const std::byte *data = buffer.data();

    ASSERT_TRUE(buffer.reserve(buffer.capacity()));
    EXPECT_EQ(buffer.data(), data);
}

TEST(shared_buffer, reserved_leaves_other_holders_the_old_block)
{
    for (const std::size_t size : {std::size_t{100}, 2 * mebibyte}) {
        const std::string text(size, 'x');
        shared_buffer buffer = buffer_with(text);
        const shared_buffer other = buffer;

        ASSERT_TRUE(buffer.reserve(4 * mebibyte));

        EXPECT_TRUE(buffer.unique());
        EXPECT_TRUE(other.unique());
        EXPECT_NE(other.data(), buffer.data());
        EXPECT_EQ(frames::as_string(other.bytes()), text);
        EXPECT_EQ(frames::as_string(buffer.bytes()), text);
    }
}

TEST(shared_buffer, without_memory_stays_as_it_was)
{
    EXPECT_FALSE(shared_buffer::allocate(SIZE_MAX));

    for (const std::size_t size : {std::size_t{4}, 2 * mebibyte}) {
        shared_buffer buffer = buffer_with(std::string(size, 'x'));
        const std::byte *data = buffer.data();

        EXPECT_FALSE(buffer.reserve(SIZE_MAX));
        EXPECT_EQ(buffer.data(), data);
        EXPECT_EQ(buffer.size(), size);
    }
}

TEST_F(shared_buffer_memory, given_back_serves_the_next_taker)
{
    for (int i = 0; i < 100; i++) {
        shared_buffer::allocate(700);
        shared_buffer::allocate(mebibyte);
    }

    EXPECT_EQ(allocations(), 2U);
}

TEST_F(shared_buffer_memory, of_many_small_blocks_at_once_serves_again)
{
    // Many clients whose messages are cut at the same time
    for (int round = 0; round < 10; round++) {
        std::vector<shared_buffer> buffers;

        for (int client = 0; client < 100; client++) {
            buffers.push_back(shared_buffer::allocate(700));
        }
    }

    EXPECT_EQ(allocations(), 100U);
}

TEST_F(shared_buffer_memory, is_not_kept_beyond_two_large_blocks)
{
    {
        std::vector<shared_buffer> buffers;

        for (int i = 0; i < 5; i++) {
            buffers.push_back(shared_buffer::allocate(mebibyte));
        }
    }

    std::vector<shared_buffer> buffers;
    for (int i = 0; i < 5; i++) {
        buffers.push_back(shared_buffer::allocate(mebibyte));
    }

    EXPECT_EQ(allocations(), 5U + 3U);
}

TEST_F(shared_buffer_memory, beyond_the_largest_spare_is_not_kept)
{
    shared_buffer::allocate(mebibyte + 1);
    shared_buffer::allocate(mebibyte + 1);

    EXPECT_EQ(allocations(), 2U);
}

TEST_F(shared_buffer_memory, of_spares_is_freed_when_dropped)
{
    shared_buffer::allocate(1);
    shared_buffer::clear_cache();
    shared_buffer::allocate(1);

    EXPECT_EQ(allocations(), 2U);
}

TEST_F(shared_buffer_surplus, is_kept_for_the_next_takers)
{
    use_at_once(10);
    EXPECT_EQ(begun, 1U);

    use_at_once(10);
    EXPECT_EQ(allocations(), 10U);

    use_at_once(11);
    EXPECT_EQ(allocations(), 11U);
}

TEST_F(shared_buffer_surplus, is_not_begun_by_the_usual_spares)
{
    use_at_once(2);

    EXPECT_EQ(begun, 0U);
    EXPECT_FALSE(shared_buffer::trim_cache());
}

TEST_F(shared_buffer_surplus, has_a_limit)
{
    use_at_once(50);
    use_at_once(50);

    EXPECT_EQ(allocations(), 50U + 50U - 2U - 32U);
}

TEST_F(shared_buffer_surplus, that_is_needed_stays)
{
    use_at_once(10);
    EXPECT_TRUE(shared_buffer::trim_cache());

    for (int i = 0; i < 5; i++) {
        use_at_once(10);
        EXPECT_TRUE(shared_buffer::trim_cache());
    }

    EXPECT_EQ(allocations(), 10U);
}

TEST_F(shared_buffer_surplus, that_is_not_needed_is_freed)
{
    use_at_once(10);
    EXPECT_TRUE(shared_buffer::trim_cache());

    use_at_once(6);
    EXPECT_TRUE(shared_buffer::trim_cache());
    use_at_once(6);
    EXPECT_EQ(allocations(), 10U);
    use_at_once(7);
    EXPECT_EQ(allocations(), 11U);

    EXPECT_TRUE(shared_buffer::trim_cache());
    EXPECT_FALSE(shared_buffer::trim_cache());

    use_at_once(10);
    EXPECT_EQ(allocations(), 11U + 8U);
    EXPECT_GT(begun, 1U);
}
