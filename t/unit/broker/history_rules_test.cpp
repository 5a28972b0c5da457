// The history of a log for which several locations configure different limits.
#include "broker_fixture.hpp"

#include <array>

using namespace broker_tests;

namespace {

constexpr history_source ten = 1, hundred = 2, none = 3, day = 4;

constexpr std::array<history_rules::rule, 4> first_rules{
    {{ten, {10, 1000}}, {hundred, {100, 50}}, {none, {}}, {day, {1, 0}}}};
constexpr std::array<history_rules::rule, 3> later_rules{
    {{ten, {5, 1000}}, {hundred, {20, 50}}, {none, {}}}};

class history_rules_test : public broker_test {
protected:
    history_rules_test()
    {
        make();
        slot = claim(1);
    }

    history_request from(history_source source) const
    {
        return {{}, &first, 1, source};
    }

    history_request later_from(history_source source) const
    {
        return {{}, &later, 2, source};
    }

    limits kept() { return core.describe("room", now).history; }

    subscribed come(const history_request &asked)
    {
        return core.subscribe(slot, "room", nullptr, asked, now);
    }

    void publish(const history_request &asked)
    {
        core.append("room", message_of("x", now), asked, now);
    }

    const history_rules first{first_rules};
    const history_rules later{later_rules};
    unsigned slot = 0;
};

void expect(const limits &found, const limits &wanted)
{
    EXPECT_EQ(found.messages, wanted.messages);
    EXPECT_EQ(found.milliseconds, wanted.milliseconds);
}

constexpr std::array<history_rules::name_rule, 5> name_rules{
    {{"news.", false, {5, 0}},
     {"news.a", true, {3, 1000}},
     {"chat.", false, {9, 1000}},
     {"chat.long.", false, {4, 9000}},
     {"chat.none", true, {0, 0}}}};

TEST(history_names, largest_of_all_rules_that_fit_counts)
{
    const history_rules rules({}, name_rules);

    const auto expect = [&rules](std::string_view name, limits wanted) {
        const limits found = rules.of_name(name);

        EXPECT_EQ(found.messages, wanted.messages) << name;
        EXPECT_EQ(found.milliseconds, wanted.milliseconds) << name;
    };

    expect("news.", {5, 0});
    expect("news.a", {5, 0});
    expect("news.ab", {5, 0});
    expect("chat.x", {9, 1000});
    expect("chat.none", {9, 1000});
    expect("chat.long.x", {9, 9000});

    for (const std::string_view other :
         {"", "news", "chat", "New.", "xnews."}) {
        expect(other, {0, 0});
    }

    EXPECT_EQ(history_rules({}).of_name("news.").messages, 0U);
}

} // namespace

TEST(HistoryLimits, LargerOfBoth)
{
    expect(larger({}, {}), {});
    expect(larger({}, {5, 7}), {5, 7});
    expect(larger({5, 7}, {}), {5, 7});
    expect(larger({0, 9}, {5, 7}), {5, 7});
    expect(larger({5, 7}, {3, 9}), {5, 9});
    expect(larger({5, 0}, {9, 7}), {9, 0});
    expect(larger({9, 7}, {5, 0}), {9, 0});
}

TEST_F(history_rules_test, know_each_source_and_all)
{
    expect(first.of(ten), {10, 1000});
    expect(first.of(hundred), {100, 50});
    expect(first.of(none), {});
    expect(first.of(99), {});
    expect(first.of(no_source), {});
    expect(first.of(any_source), {100, 0});
    expect(history_rules(std::span<history_rules::rule>{}).of(any_source), {});
}

TEST_F(history_rules_test, clients_shrink_no_history)
{
    expect(come(from(hundred)).history, {100, 50});
    expect(come(from(none)).history, {100, 50});
    expect(come(from(ten)).history, {100, 1000});
    expect(kept(), {100, 1000});
}

TEST_F(history_rules_test, largest_so_far_is_kept)
{
    const subscription guest = come(from(none)).handle;

    expect(kept(), {});
    expect(core.ask_history(guest, from(ten), now), {10, 1000});
    expect(core.ask_history(guest, from(none), now), {10, 1000});
    expect(core.ask_history(guest, from(hundred), now), {100, 1000});
}

TEST_F(history_rules_test, outlast_the_clients)
{
    const subscription first_one = come(from(hundred)).handle;

    send(first_one, "1");
    core.unsubscribe(first_one, now);
    expect(come(from(none)).history, {100, 50});
    EXPECT_EQ(core.describe("room", now).messages, 1);
}

TEST_F(history_rules_test, later_configuration_lowers_for_all_sources)
{
    come(from(ten));
    come(from(hundred));
    expect(come(later_from(none)).history, {20, 1000});
    expect(kept(), {20, 1000});
}

TEST_F(history_rules_test, later_configuration_drops_removed_sources)
{
    come(from(day));
    expect(come(later_from(ten)).history, {5, 1000});
}

TEST_F(history_rules_test, earlier_configuration_no_longer_applies)
{
    const subscription old = come(from(ten)).handle;

    come(later_from(ten));
    expect(core.ask_history(old, from(hundred), now), {5, 1000});
    expect(come(from(day)).history, {5, 1000});
    publish(from(any_source));
    expect(kept(), {5, 1000});

    // The broker recorded that a client used `hundred`
    expect(come(later_from(ten)).history, {20, 1000});
}

TEST_F(history_rules_test, publisher_fills_a_new_log_for_all)
{
    publish(from(any_source));
    expect(kept(), {100, 0});
    expect(come(from(ten)).history, {100, 0});
}

TEST_F(history_rules_test, publisher_changes_no_existing_log)
{
    come(from(ten));
    publish(from(any_source));
    publish({{1000, 0}, &first, 1, hundred});
    expect(kept(), {10, 1000});
    publish(later_from(any_source));
    expect(kept(), {5, 1000});
    expect(come(later_from(none)).history, {5, 1000});
}

TEST_F(history_rules_test, limits_of_a_resource_count_too)
{
    expect(come({{50, 0}, &first, 1, ten}).history, {50, 0});
    expect(come(from(ten)).history, {50, 0});
    expect(come(later_from(ten)).history, {5, 1000});
}

TEST_F(history_rules_test, resource_may_set_its_limits_itself)
{
    const subscription one = come(from(hundred)).handle;

    core.set_limits(one, {3, 0}, now);
    expect(kept(), {3, 0});
    expect(come(limits{2, 0}).history, {2, 0});
}

TEST_F(history_rules_test, more_sources_than_stored_count_as_all)
{
    std::array<history_rules::rule, 8> many{};

    for (std::uint32_t i = 0; i != many.size(); i++) {
        many[i] = {i + 1, {i + 1, 0}};
    }

    const history_rules rules(many);

    for (const history_source each : {1, 2, 3, 4}) {
        expect(come({{}, &rules, 1, each}).history, {each, 0});
    }

    expect(come({{}, &rules, 1, 5}).history, {8, 0});
    expect(come({{}, &rules, 2, 6}).history, {8, 0});
}
