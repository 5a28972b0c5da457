// Large payloads. They are copied without the lock, into blocks that are
// reserved for the writer's slot until the entry is linked.
#include "broker_fixture.hpp"
#include "fault_counter.hpp"

#include <csignal>
#include <string_view>

#include <sys/wait.h>

using namespace broker_tests;

namespace {

// Counts blocks that are written with the lock held, and without it.
class copy_counter {
public:
    copy_counter() : before_{set_fault_hook(count)} { locked = unlocked = 0; }
    ~copy_counter() { set_fault_hook(before_); }
    copy_counter(const copy_counter &) = delete;
    copy_counter &operator=(const copy_counter &) = delete;

    static inline int locked = 0;
    static inline int unlocked = 0;

private:
    static void count(const char *name) noexcept
    {
        static bool held = false;
        const std::string_view reached(name);

        if (reached == "lock.taken") {
            held = true;
        } else if (reached == "lock.left") {
            held = false;
        } else if (reached == "blocks.written") {
            (held ? locked : unlocked)++;
        }
    }

    fault_hook before_;
};

const char *deadly_point;

void die_there(const char *name) noexcept
{
    if (std::string_view(name) == deadly_point) {
        static_cast<void>(std::raise(SIGKILL));
    }
}

class broker_append : public broker_test {
protected:
    broker_append()
    {
        make(1024 * kibibyte);
        reader_ = subscribe(claim(1), "room", {.messages = 1000});
        // The last claim, so later reservations are for this slot
        slot_ = claim(2);
    }

    // Runs the work in a process that dies at the fault point.
    template <class function>
    void die_at(const char *point, function work)
    {
        const pid_t child = fork();

        if (child == 0) {
            deadly_point = point;
            set_fault_hook(die_there);
            work();
            _exit(0);
        }

        int status = 0;
        EXPECT_EQ(waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFSIGNALED(status)) << point;
        lock.free_of(child);
    }

    void append_large() { send(reader_, std::string(100'000, 'x')); }

    subscription reader_;
    unsigned slot_ = 0;
};

} // namespace

TEST_F(broker_append, of_much_copies_without_the_lock)
{
    const copy_counter count;

    send(reader_, std::string(100'000, 'x'));
    EXPECT_EQ(count.locked, 0);
    EXPECT_GT(count.unlocked, 0);
    const int unlocked = count.unlocked;
    send(reader_, std::string(2000, 'y'));
    EXPECT_EQ(count.locked, 1);
    EXPECT_EQ(count.unlocked, unlocked);
    EXPECT_EQ(read(reader_),
              (texts{std::string(100'000, 'x'), std::string(2000, 'y')}));
}

TEST_F(broker_append, of_much_without_a_slot_copies_with_the_lock)
{
    core.release(slot_, now);
    const copy_counter count;

    send(reader_, std::string(100'000, 'x'));
    EXPECT_GT(count.locked, 0);
    EXPECT_EQ(count.unlocked, 0);
    EXPECT_EQ(read(reader_), texts{std::string(100'000, 'x')});
}

TEST_F(broker_append, of_much_reserves_few_blocks_in_a_hold)
{
    core.limit_holds(64, 100);
    const fault_counter count;

    append_large(); // of 782 blocks
    EXPECT_EQ(count.holds(), 8 + 1);
    EXPECT_EQ(count.max("blocks.reserved"), 1);
}

TEST_F(broker_append, of_a_dead_process_leaves_no_blocks)
{
    const std::size_t used = core.measure().used;

    for (const char *point : {"blocks.reserved", "append.copied"}) {
        die_at(point, [this] { append_large(); });
        EXPECT_EQ(check_integrity(core), "") << point;
        EXPECT_GT(core.measure().used, used) << point;
        processes.dead = {2};
        core.reclaim_dead(processes, now);
        processes.dead = {};
        EXPECT_EQ(core.measure().used, used) << point;
        EXPECT_EQ(check_integrity(core), "") << point;
        slot_ = claim(2);
    }

    die_at("append.linked", [this] { append_large(); });
    EXPECT_EQ(check_integrity(core), "");
    EXPECT_EQ(read(reader_), texts{std::string(100'000, 'x')});
}

// The blocks of the dead process stay reserved, although no record has them.
TEST_F(broker_append, continues_after_another_process_died)
{
    die_at("append.copied", [this] { append_large(); });
    const std::size_t used = core.measure().used;
    const std::uint64_t repairs = core.measure().repairs;

    die_at("entry.linked", [this] { send(reader_, "another"); });
    EXPECT_EQ(core.measure().repairs, repairs + 1);
    EXPECT_EQ(core.measure().used, used + 128);
    EXPECT_EQ(check_integrity(core), "");
    EXPECT_EQ(read(reader_), texts{"another"});
}
