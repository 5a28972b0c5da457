// The memory of the broker: it is created, attached, and checked for damage.
#include "broker/blocks.hpp"
#include "broker/log_table.hpp"
#include "broker/name_hash.hpp"
#include "broker_fixture.hpp"

#include <array>
#include <type_traits>

using namespace broker_tests;

namespace {

class broker_zone : public broker_test {};

// Messages in several logs, some of them read, so that each list has entries.
class broker_damage : public broker_test {
protected:
    broker_damage()
    {
        make();
        const unsigned slot = claim(10);
        const subscription a = subscribe(slot, "a", {.messages = 3});
        const subscription b = subscribe(slot, "b");
        const subscription c = subscribe(slot, "c");
        static_cast<void>(core.join(a, 0));

        for (int i = 0; i < 5; i++) {
            send(a, "x");
            send(b, std::string(300, 'x'));
            core.append(b, transient_of("t"), now);
            send(c, "x");
        }
        read(a);
        core.append("unused", message_of("x"), {}, now);
        core.append("unused too", message_of("x"), {}, now);
        EXPECT_TRUE(detail::attach_zone(zone, memory()));
    }

    // Changes a word for one check.
    template <class word>
    std::string fault_with(word &changed, std::type_identity_t<word> value)
    {
        EXPECT_EQ(check_integrity(core), "");
        const word before = std::exchange(changed, value);
        const std::string fault{check_integrity(core)};
        changed = before;
        return fault;
    }

    detail::log_record &log_of(std::string_view name)
    {
        return zone.log(detail::find_log(zone, {zone, name}));
    }

    detail::zone zone;
};

} // namespace

TEST(broker_name_hash, is_that_of_the_paper)
{
    std::array<std::byte, 15> name;

    for (std::size_t i = 0; i < name.size(); i++) {
        name[i] = static_cast<std::byte>(i);
    }

    EXPECT_EQ(name_hash({0x0706050403020100, 0x0f0e0d0c0b0a0908}, name),
              0xa129ca6149be45e5);
}

TEST_F(broker_zone, fits_the_smallest_memory_for_any_number_of_slots)
{
    for (std::size_t slots = 1; slots <= max_slots; slots++) {
        const shared_memory memory(broker::min_size(slots));

        ASSERT_TRUE(core.create(memory.bytes(), slots, slots));
        const unsigned slot = claim(10);
        EXPECT_EQ(send(subscribe(slot), "x").result, outcome::done);
        EXPECT_EQ(check_integrity(core), "");
        EXPECT_GE(core.measure().size, 32 * kibibyte);
    }
}

TEST_F(broker_zone, uses_all_memory)
{
    for (const std::size_t size : {64, 65, 100, 1000, 4096, 32'768}) {
        const shared_memory memory(size * kibibyte);

        ASSERT_TRUE(core.create(memory.bytes(), 64, 1));
        EXPECT_LE(core.measure().size, size * kibibyte);
        EXPECT_GT(core.measure().size, (size - 4) * kibibyte / 16 * 15);
        EXPECT_EQ(check_integrity(core), "");
    }
}

TEST_F(broker_zone, is_not_created_in_too_little_memory_or_with_odd_slots)
{
    const shared_memory memory(64 * kibibyte);
    const auto bytes = memory.bytes();

    EXPECT_FALSE(core.create(bytes.first(broker::min_size(4) - 512), 4, 1));
    EXPECT_FALSE(core.create({}, 4, 1));
    EXPECT_FALSE(core.create(bytes.first(10), 4, 1));
    EXPECT_FALSE(core.create(bytes, 0, 1));
    EXPECT_FALSE(core.create(bytes, max_slots + 1, 1));
    EXPECT_FALSE(core.attach(bytes));
}

TEST_F(broker_zone, may_begin_and_end_anywhere)
{
    const shared_memory memory(256 * kibibyte);

    for (std::size_t i = 0; i < 130; i += 13) {
        const auto bytes =
            memory.bytes().subspan(i).first(128 * kibibyte + i * 7);

        ASSERT_TRUE(core.create(bytes, 4, 1));
        broker other(lock);
        EXPECT_TRUE(other.attach(bytes));
        EXPECT_EQ(check_integrity(other), "");
    }
}

TEST_F(broker_zone, is_attached_with_its_contents)
{
    const shared_memory memory(64 * kibibyte);
    ASSERT_TRUE(core.create(memory.bytes(), 4, 1));
    const subscription a = subscribe(claim(10));
    send(a, "x");

    broker other(lock);
    ASSERT_TRUE(other.attach(memory.bytes()));
    read_memory storage;
    EXPECT_EQ(other.read(a, storage.buffers(), now).count, 1);
    EXPECT_EQ(check_integrity(other), "");
}

TEST_F(broker_zone, is_not_attached_elsewhere_or_with_another_layout)
{
    const shared_memory memory(64 * kibibyte);
    const auto bytes = memory.bytes();
    broker other(lock);

    EXPECT_FALSE(other.attach(bytes));
    EXPECT_FALSE(other.attach({}));
    ASSERT_TRUE(core.create(bytes, 4, 1));
    EXPECT_FALSE(other.attach(bytes.first(63 * kibibyte)));
    EXPECT_FALSE(other.attach(bytes.subspan(64)));

    auto &head = *reinterpret_cast<detail::header *>(bytes.data());
    head.layout++;
    EXPECT_FALSE(other.attach(bytes));
    head.layout--;
    head.block_count++;
    EXPECT_FALSE(other.attach(bytes));
    head.block_count--;
    EXPECT_TRUE(other.attach(bytes));
}

TEST_F(broker_damage, of_counts_is_found)
{
    detail::header &head = *zone.head;

    EXPECT_NE(fault_with(head.free_count, head.free_count + 1), "");
    EXPECT_NE(fault_with(head.logs, head.logs + 1), "");
    EXPECT_NE(fault_with(head.subscriptions, 0), "");
    EXPECT_NE(fault_with(head.entries, 3), "");
    EXPECT_NE(fault_with(log_of("a").clients, 2), "");
    EXPECT_NE(fault_with(log_of("a").message_count, 2), "");
    EXPECT_NE(fault_with(log_of("a").entry_blocks, 2), "");
    EXPECT_NE(fault_with(log_of("a").epoch, head.last_epoch + 1), "");
}

TEST_F(broker_damage, of_the_list_of_entries_is_found)
{
    detail::header &head = *zone.head;
    const detail::index second = zone.entry(head.oldest).newer;

    EXPECT_NE(fault_with(head.oldest, second), "");
    EXPECT_NE(fault_with(head.oldest, 0), "");
    EXPECT_NE(fault_with(head.oldest, head.block_count + 1), "");
    EXPECT_NE(fault_with(head.newest, head.oldest), "");
    EXPECT_NE(fault_with(zone.entry(second).newer, second), "");
    EXPECT_NE(fault_with(zone.entry(second).newer, head.oldest), "");
    EXPECT_NE(fault_with(zone.entry(second).older, 0), "");
    EXPECT_NE(fault_with(zone.entry(second).log, head.free), "");
    EXPECT_NE(fault_with(zone.entry(second).size, 100'000), "");
    EXPECT_NE(fault_with(zone.entry(second).position, 100), "");
    EXPECT_NE(fault_with(zone.entry(head.newest).sequence, 100), "");
}

TEST_F(broker_damage, of_a_logs_lists_is_found)
{
    detail::log_record &log = log_of("b");
    detail::entry_record &first = zone.entry(log.first_message);
    detail::entry_record &last = zone.entry(log.last_message);
    detail::entry_record &transient = zone.entry(log.first_transient);

    EXPECT_NE(fault_with(log.first_message, first.next_in_log), "");
    EXPECT_NE(fault_with(log.first_message, log.first_transient), "");
    EXPECT_NE(fault_with(log.last_message, log.first_message), "");
    EXPECT_NE(fault_with(first.next_in_log, log.last_message), "");
    EXPECT_NE(fault_with(first.next_in_log, transient.next_in_log), "");
    EXPECT_NE(fault_with(last.next_in_log, log.first_message), "");
    EXPECT_NE(fault_with(last.previous_message, log.first_message), "");
    EXPECT_NE(fault_with(last.earlier_message, log.first_message), "");
    EXPECT_NE(fault_with(last.earlier_message, 0), "");
    EXPECT_NE(fault_with(log.first_transient, 0), "");
    EXPECT_NE(fault_with(log.last_transient, log.first_transient), "");
    EXPECT_NE(fault_with(transient.next_in_log, 0), "");
    EXPECT_NE(fault_with(transient.next_in_log, log.first_message), "");
    EXPECT_NE(fault_with(transient.position, 1), "");
    EXPECT_NE(fault_with(log.last_position, 2), "");
    EXPECT_NE(fault_with(log.last_sequence, 2), "");
    EXPECT_NE(fault_with(log.subscriptions, 0), "");
    EXPECT_NE(fault_with(log.name_hash, log.name_hash + 1), "");
    EXPECT_NE(fault_with(log.name_size, 2), "");
    EXPECT_NE(fault_with(log.next_in_bucket, zone.head->oldest), "");
}

TEST_F(broker_damage, of_a_subscription_is_found)
{
    detail::log_record &log = log_of("c");
    detail::subscription_record &reader = zone.subscription(log.subscriptions);

    EXPECT_NE(fault_with(reader.cursor, 1), "");
    EXPECT_NE(fault_with(reader.cursor, 100), "");
    EXPECT_NE(fault_with(reader.unread_message, log.last_message), "");
    EXPECT_NE(fault_with(reader.unread_transient, log.last_message), "");
    EXPECT_NE(fault_with(reader.queued, 0), "");
    EXPECT_NE(fault_with(reader.log, zone.head->oldest), "");
    EXPECT_NE(fault_with(reader.slot, 1), "");
    EXPECT_NE(fault_with(reader.generation, 0), "");
    EXPECT_NE(fault_with(reader.check, 0), "");
    EXPECT_NE(fault_with(reader.next_in_log, log.subscriptions), "");
    EXPECT_NE(fault_with(reader.previous_queued, 0), "");
    EXPECT_NE(fault_with(reader.next_queued, log.subscriptions), "");
    EXPECT_NE(fault_with(zone.slots[0].queue_first, log.subscriptions), "");
    EXPECT_NE(fault_with(zone.slots[0].queue_last, 0), "");
}

TEST_F(broker_damage, of_an_entry_missing_among_the_unread_is_found)
{
    detail::log_record &log = log_of("c");
    const detail::index second = zone.entry(log.first_message).next_in_log;

    for (detail::index at = second; at != 0; at = zone.entry(at).next_in_log) {
        zone.entry(at).position++;
    }
    log.last_position++;
    EXPECT_EQ(check_integrity(core),
              "an entry is missing among the unread ones");
    for (detail::index at = second; at != 0; at = zone.entry(at).next_in_log) {
        zone.entry(at).position--;
    }
    log.last_position--;
}

TEST_F(broker_damage, of_chains_is_found)
{
    detail::header &head = *zone.head;

    EXPECT_NE(fault_with(head.free, zone.next[head.free]), "");
    EXPECT_NE(fault_with(head.free, head.oldest), "");
    EXPECT_NE(fault_with(zone.next[head.free], head.free), "");
    EXPECT_NE(fault_with(zone.next[head.oldest], head.free), "");
    EXPECT_NE(fault_with(zone.next[head.oldest], 0), "");

    detail::index &below = zone.free_chain(head.free).below;
    EXPECT_NE(fault_with(below, head.free), "");
    EXPECT_NE(fault_with(below, head.oldest), "");
}

TEST_F(broker_damage, of_the_list_of_unused_logs_is_found)
{
    detail::header &head = *zone.head;
    detail::log_record &log = log_of("unused");

    EXPECT_NE(fault_with(log.unused, 0), "");
    EXPECT_NE(fault_with(log_of("a").unused, 1), "");
    EXPECT_NE(fault_with(head.unused_first, head.unused_last), "");
    EXPECT_NE(fault_with(head.unused_last, head.unused_first), "");
    EXPECT_NE(fault_with(log.newer_unused, 0), "");
    EXPECT_NE(fault_with(log.newer_unused, head.unused_first), "");
    EXPECT_NE(fault_with(log_of("unused too").older_unused, 0), "");
}
