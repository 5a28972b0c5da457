// The UTF-8 checker: each SIMD level is compared with the reference, whole and
// in pieces.
#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

#include "protocol/text/utf8.hpp"

#include "guarded_memory.hpp"
#include "simd_levels.hpp"
#include "utf8_agreement.hpp"

using namespace websocket::protocol;

namespace {

std::string ascii(std::size_t size)
{
    return std::string(size, 'a');
}

std::string three_bytes(std::uint32_t value)
{
    return {static_cast<char>(value >> 16), static_cast<char>(value >> 8),
            static_cast<char>(value)};
}

// The bounds of each rule of RFC 3629 section 4, from both sides.
struct rule_case {
    const char *name;
    std::string_view good;
    std::vector<std::string_view> bad;
};

const std::vector<rule_case> &rule_cases()
{
    static const std::vector<rule_case> cases{
        {"lone continuation byte", "\x7F", {"\x80", "\xBF", "\x90\x80"}},
        {"two bytes, shortest form",
         "\xC2\x80\xDF\xBF",
         {"\xC0\x80", "\xC0\xAF", "\xC1\x80", "\xC1\xBF"}},
        {"two bytes, end", "\xC3\xA4", {"\xC3", "\xC3\xC3", "\xC3z"}},
        {"two bytes, one too many", "\xC3\xA4z", {"\xC3\xA4\x80"}},
        {"three bytes, shortest form",
         "\xE0\xA0\x80",
         {"\xE0\x80\x80", "\xE0\x9F\xBF", "\xE0\x80\xAF"}},
        {"three bytes, no surrogates",
         "\xED\x9F\xBF\xEE\x80\x80",
         {"\xED\xA0\x80", "\xED\xAF\xBF", "\xED\xB0\x80", "\xED\xBF\xBF",
          "\xED\xA0\xBD\xED\xB8\x80"}},
        {"three bytes, end",
         "\xE2\x82\xAC\xEF\xBF\xBF",
         {"\xE2", "\xE2\x82", "\xE2z", "\xE2\x82z", "\xE2\x82\xC2", "\xE2\xE2",
          "\xE2\x82\xE2\x82\xAC"}},
        {"three bytes, one too many", "\xE2\x82\xACz", {"\xE2\x82\xAC\x80"}},
        {"four bytes, shortest form",
         "\xF0\x90\x80\x80",
         {"\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF", "\xF0\x80\x80\xAF"}},
        {"four bytes, up to 10FFFF",
         "\xF4\x8F\xBF\xBF",
         {"\xF4\x90\x80\x80", "\xF4\xBF\xBF\xBF", "\xF5\x80\x80\x80",
          "\xF7\xBF\xBF\xBF"}},
        {"four bytes, end",
         "\xF0\x9F\x98\x80\xF1\x80\x80\x80\xF3\xBF\xBF\xBF",
         {"\xF0", "\xF0\x9F", "\xF0\x9F\x98", "\xF0z", "\xF0\x9Fz",
          "\xF0\x9F\x98z", "\xF0\x9F\x98\xF0", "\xF0\x9F\xC3\xA4"}},
        {"four bytes, one too many",
         "\xF0\x9F\x98\x80z",
         {"\xF0\x9F\x98\x80\x80"}},
        {"no longer forms",
         "\xF4\x80\x80\x80",
         {"\xF8\x88\x80\x80\x80", "\xFC\x84\x80\x80\x80\x80", "\xFE", "\xFF",
          "\xFF\xFF"}},
    };
    return cases;
}

// Whole characters of at least `size` bytes in total.
std::string repeated(std::string_view characters, std::size_t size)
{
    std::string result;
    while (result.size() < size) {
        result += characters;
    }
    return result;
}

// Calls `use` with the sequence at each position from 0 to 130. The text is
// ASCII, has three bytes per character, or is mixed; it ends after the sequence
// or continues.
template <typename function>
void at_each_position(std::string_view sequence, function use)
{
    constexpr std::string_view fillers[] = {"a", "\xE2\x82\xAC",
                                            "a\xF0\x9F\x98\x80\xD1\x8F"};
    for (const std::string_view filler : fillers) {
        for (std::size_t position = 0; position <= 130; ++position) {
            const std::size_t uneven = position % filler.size();
            std::string text = ascii(uneven);
            text += repeated(filler, position - uneven);
            text += sequence;
            use(text);
            use(text + repeated(filler, 70));
        }
    }
}

} // namespace

TEST(utf8_checker, is_a_few_bytes_that_can_be_copied)
{
    EXPECT_TRUE(std::is_trivially_copyable_v<utf8_checker>);
    EXPECT_LE(sizeof(utf8_checker), 8U);
}

TEST(utf8_checker, accepts_and_refuses_by_each_rule)
{
    for (const rule_case &rule : rule_cases()) {
        EXPECT_TRUE(is_valid_utf8(as_bytes(rule.good))) << rule.name;
        expect_agreement(rule.good);
        for (const std::string_view bad : rule.bad) {
            EXPECT_FALSE(is_valid_utf8(as_bytes(bad)))
                << rule.name << ": " << hex(bad);
            expect_agreement(bad);
        }
    }
}

TEST(utf8_checker, takes_the_empty_text)
{
    utf8_checker checker;
    EXPECT_TRUE(is_valid_utf8({}));
    EXPECT_TRUE(checker.complete());
    EXPECT_TRUE(checker.feed({}));
    EXPECT_TRUE(checker.complete());
}

TEST(utf8_checker, lets_empty_pieces_stand_inside_a_character)
{
    utf8_checker checker;
    EXPECT_TRUE(checker.feed(as_bytes("\xE2")));
    EXPECT_TRUE(checker.feed({}));
    EXPECT_FALSE(checker.complete());
    EXPECT_TRUE(checker.feed(as_bytes("\x82\xAC")));
    EXPECT_TRUE(checker.complete());
}

TEST(utf8_checker, fails_at_the_very_byte_even_if_it_is_the_last)
{
    constexpr std::string_view cases[] = {
        "\x80",     "\xC0",     "\xC1",     "\xF5",  "\xFF",     "\xE0\x9F",
        "\xED\xA0", "\xF0\x8F", "\xF4\x90", "\xC3z", "\xE2\x82z"};
    for (const std::string_view sequence : cases) {
        at_each_position(sequence, [&](const std::string &text) {
            if (!text.ends_with(sequence)) {
                return;
            }
            for (const simd_level level : simd_levels()) {
                utf8_checker checker;
                const auto fine = text.substr(0, text.size() - 1);
                EXPECT_FALSE(checker.feed(as_bytes(text), level)) << hex(text);
                checker.reset();
                EXPECT_TRUE(checker.feed(as_bytes(fine), level)) << hex(text);
                EXPECT_FALSE(checker.feed(as_bytes(text).last(1), level))
                    << hex(text);
            }
        });
    }
}

TEST(utf8_checker, having_failed_fails_until_reset)
{
    for (const simd_level level : simd_levels()) {
        for (const std::string_view bad : {"\xFF", "\xE2z", "\xF0\x9F\xC3"}) {
            utf8_checker checker;
            static_cast<void>(checker.feed(as_bytes(bad.substr(0, 1)), level));
            static_cast<void>(checker.feed(as_bytes(bad.substr(1)), level));
            EXPECT_FALSE(checker.feed({}, level));
            EXPECT_FALSE(checker.feed(as_bytes("a"), level));
            EXPECT_FALSE(checker.feed(as_bytes("\x80"), level));
            EXPECT_FALSE(checker.feed(as_bytes(ascii(100)), level));
            EXPECT_FALSE(checker.complete());
            checker.reset();
            EXPECT_TRUE(checker.complete());
            EXPECT_TRUE(checker.feed(as_bytes("\xE2\x82\xAC"), level));
            EXPECT_TRUE(checker.complete());
        }
    }
}

TEST(utf8_checker, forgets_an_unfinished_character_at_reset)
{
    utf8_checker checker;
    EXPECT_TRUE(checker.feed(as_bytes("\xF0\x9F")));
    checker.reset();
    EXPECT_TRUE(checker.complete());
    EXPECT_FALSE(checker.feed(as_bytes("\x98")));
}

TEST(utf8_checker, accepts_every_code_point_alone)
{
    for (std::uint32_t value = 0; value < 0x110000; ++value) {
        const std::string text = encode_utf8(value);
        for (const simd_level level : simd_levels()) {
            utf8_checker checker;
            const bool valid =
                checker.feed(as_bytes(text), level) && checker.complete();
            if (valid != is_scalar_value(value)) {
                ADD_FAILURE() << simd_level_name(level) << ": " << hex(text);
            }
        }
    }
}

TEST(utf8_checker, accepts_every_code_point_among_its_neighbours)
{
    constexpr std::uint32_t together = 1021;
    for (std::uint32_t start = 0; start < 0x110000; start += together) {
        std::string text;
        for (std::uint32_t value = start; value < start + together; ++value) {
            if (value < 0x110000 && is_scalar_value(value)) {
                text += encode_utf8(value);
            }
        }
        for (const simd_level level : simd_levels()) {
            EXPECT_TRUE(agrees_whole(text, {text.size(), true}, level));
            EXPECT_TRUE(agrees_bytewise(text, {text.size(), true}, level));
        }
    }
}

TEST(utf8_checker, checks_all_sequences_of_one_and_two_bytes)
{
    std::string text(1, 0);
    for (int first = 0; first < 256; ++first) {
        text = {static_cast<char>(first)};
        expect_agreement(text);
        for (int second = 0; second < 256; ++second) {
            text = {static_cast<char>(first), static_cast<char>(second)};
            expect_agreement(text);
        }
    }
}

// All levels check such short texts with the same code.
TEST(utf8_checker, checks_all_sequences_of_three_bytes)
{
    for (std::uint32_t value = 0; value < 1 << 24 && !HasFailure(); ++value) {
        const std::string text = three_bytes(value);
        if (!agrees_whole(text, utf8_reference::check(text),
                          best_simd_level())) {
            ADD_FAILURE() << hex(text);
        }
    }
}

// The text is long enough for the main loop of each level.
TEST(utf8_checker, checks_all_sequences_of_three_bytes_in_a_text)
{
    constexpr std::size_t position = 63;
    std::string text = ascii(128);
    for (std::uint32_t value = 0x800000; value < 1 << 24 && !HasFailure();
         ++value) {
        text.replace(position, 3, three_bytes(value));
        // The reference may skip the ASCII.
        auto expected =
            utf8_reference::check(std::string_view(text).substr(position, 6));
        expected.first_impossible = expected.complete
                                        ? text.size()
                                        : position + expected.first_impossible;
        for (const simd_level level : simd_levels()) {
            if (!agrees_whole(text, expected, level)) {
                ADD_FAILURE() << simd_level_name(level) << ": " << hex(text);
            }
        }
    }
}

TEST(utf8_checker, checks_four_bytes_with_every_lead_and_second_byte)
{
    constexpr std::uint8_t others[] = {0x00, 0x7F, 0x80, 0xBF, 0xC2, 0xFF};
    std::string text = ascii(132);
    for (std::uint32_t pair = 0x8000; pair < 0x10000 && !HasFailure(); ++pair) {
        const std::size_t position = pair % 128;
        for (const std::uint8_t third : others) {
            for (const std::uint8_t fourth : others) {
                const std::string sequence{
                    static_cast<char>(pair >> 8), static_cast<char>(pair),
                    static_cast<char>(third), static_cast<char>(fourth)};
                text.replace(position, 4, sequence);
                expect_agreement_whole(sequence);
                expect_agreement_whole(text);
            }
        }
        text.replace(position, 4, "aaaa");
    }
}

TEST(utf8_checker, finds_each_rule_broken_at_each_position)
{
    for (const rule_case &rule : rule_cases()) {
        for (const std::string_view bad : rule.bad) {
            at_each_position(bad, expect_agreement);
        }
    }
}

TEST(utf8_checker, finds_each_rule_kept_at_each_position)
{
    for (const rule_case &rule : rule_cases()) {
        at_each_position(rule.good, expect_agreement);
    }
}

TEST(utf8_checker, checks_damaged_text_as_the_reference_does)
{
    constexpr std::string_view characters[] = {"a",
                                               "\xC3\xA4",
                                               "\xD1\x8F",
                                               "\xE2\x82\xAC",
                                               "\xE4\xB8\xAD",
                                               "\xED\x9F\xBF",
                                               "\xF0\x9F\x98\x80",
                                               "\xF4\x8F\xBF\xBF"};
    std::mt19937 random(6455);
    for (int round = 0; round < 20000; ++round) {
        std::string text;
        const std::size_t size = random() % 300;
        while (text.size() < size) {
            const auto &next = characters[random() % std::size(characters)];
            text += repeated(next, random() % 3 == 0 ? 70 : 1);
        }
        for (unsigned damage = random() % 3; damage > 0 && size > 0; --damage) {
            text[random() % text.size()] = static_cast<char>(random());
        }
        const auto expected = utf8_reference::check(text);
        const std::size_t cut = random() % (text.size() + 1);
        for (const simd_level level : simd_levels()) {
            EXPECT_TRUE(agrees_whole(text, expected, level)) << hex(text);
            EXPECT_TRUE(agrees_bytewise(text, expected, level)) << hex(text);
            EXPECT_TRUE(agrees_cut(text, cut, expected, level))
                << "cut at " << cut << ": " << hex(text);
        }
    }
}

TEST(utf8_checker, reads_nothing_outside_the_piece)
{
    const guarded_memory memory;
    for (const std::string_view filler : {"a", "\xC3\xA4", "\xE2\x82\xAC"}) {
        for (std::size_t size = 0; size <= 300; ++size) {
            const std::string text = repeated(filler, size).substr(0, size);
            for (const auto buffer : {memory.front(size), memory.back(size)}) {
                std::ranges::copy(as_bytes(text), buffer.begin());
                for (const simd_level level : simd_levels()) {
                    utf8_checker checker;
                    EXPECT_TRUE(checker.feed(buffer, level)) << "size " << size;
                }
            }
        }
    }
}
