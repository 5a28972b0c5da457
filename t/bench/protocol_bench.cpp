// Measures the speed of unmasking and of the UTF-8 check, for each SIMD level,
// with payloads in the cache.
//
// Bytes per second are bytes of payload. Compare medians with memcpy:
// --benchmark_repetitions=5 --benchmark_report_aggregates_only=true.
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <benchmark/benchmark.h>

#include "protocol/frames/masking.hpp"
#include "protocol/text/utf8.hpp"

using namespace websocket::protocol;

namespace {

using bytes = std::vector<std::byte>;

// The alignment of a buffer must be the same in each run.
constexpr std::size_t cache_line = 64;
constexpr std::size_t greatest_size = 16384;

constexpr std::string_view english =
    "The quick brown fox jumps over the lazy dog, and over it again. ";
constexpr std::string_view mixed =
    "Grüße aus Köln! Съешь же ещё этих мягких французских булок. "
    "色は匂へど散りぬるを。 Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. "
    "नमस्ते दुनिया 👋🌍 שלום עולם مرحبا بالعالم 안녕하세요 ";

// The text, repeated, and cut at the last whole character.
bytes text_of(std::string_view text, std::size_t size)
{
    std::string repeated;
    while (repeated.size() <= size) {
        repeated += text;
    }
    const auto *first = reinterpret_cast<const std::byte *>(repeated.data());
    bytes result(first, first + size);
    while (!is_valid_utf8(result)) {
        result.pop_back();
    }
    return result;
}

std::size_t size_of(const benchmark::State &state)
{
    return static_cast<std::size_t>(state.range(0));
}

void report(benchmark::State &state, std::size_t size)
{
    state.SetBytesProcessed(state.iterations() *
                            static_cast<std::int64_t>(size));
}

bool can_run(benchmark::State &state, simd_level level)
{
    if (level > best_simd_level()) {
        state.SkipWithError("this machine lacks the instructions");
        return false;
    }
    return true;
}

void copy(benchmark::State &state)
{
    alignas(cache_line) static std::byte from[greatest_size];
    alignas(cache_line) static std::byte to[greatest_size];
    std::byte *target = to;
    std::size_t size = size_of(state);
    for (auto _ : state) {
        benchmark::DoNotOptimize(size);
        benchmark::DoNotOptimize(target);
        std::memcpy(target, from, size);
        benchmark::ClobberMemory();
    }
    report(state, size);
}

// The payload begins 8 bytes into its buffer, as after a frame header.
void unmask_payload(benchmark::State &state, simd_level level)
{
    alignas(cache_line) static std::byte buffer[8 + greatest_size];
    const std::span payload(buffer + 8, size_of(state));
    masking_key key{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
    if (!can_run(state, level)) {
        return;
    }
    for (auto _ : state) {
        benchmark::DoNotOptimize(key);
        unmask(payload, key, 0, level);
        benchmark::ClobberMemory();
    }
    report(state, payload.size());
}

void check_text(benchmark::State &state, std::string_view sample,
                simd_level level)
{
    const bytes text = text_of(sample, size_of(state));
    std::span<const std::byte> piece(text);
    if (!can_run(state, level)) {
        return;
    }
    for (auto _ : state) {
        utf8_checker checker;
        benchmark::DoNotOptimize(piece);
        benchmark::DoNotOptimize(checker.feed(piece, level));
        benchmark::DoNotOptimize(checker.complete());
    }
    report(state, text.size());
}

// A key of zeros costs as much as any other, and leaves valid text for the
// check.
void unmask_and_check(benchmark::State &state, std::string_view sample,
                      simd_level level)
{
    bytes text = text_of(sample, size_of(state));
    masking_key key{};
    if (!can_run(state, level)) {
        return;
    }
    for (auto _ : state) {
        utf8_checker checker;
        benchmark::DoNotOptimize(key);
        unmask(text, key, 0, level);
        benchmark::ClobberMemory();
        benchmark::DoNotOptimize(checker.feed(text, level));
        benchmark::DoNotOptimize(checker.complete());
    }
    report(state, text.size());
}

void sizes(benchmark::internal::Benchmark *benchmark)
{
    benchmark->Arg(20)->Arg(512)->Arg(greatest_size);
}

BENCHMARK(copy)->Apply(sizes);
BENCHMARK_CAPTURE(unmask_payload, portable, simd_level::portable)->Apply(sizes);
BENCHMARK_CAPTURE(unmask_payload, sse2, simd_level::sse2)->Apply(sizes);
BENCHMARK_CAPTURE(unmask_payload, avx2, simd_level::avx2)->Apply(sizes);
BENCHMARK_CAPTURE(check_text, english_portable, english, simd_level::portable)
    ->Apply(sizes);
BENCHMARK_CAPTURE(check_text, english_sse2, english, simd_level::sse2)
    ->Apply(sizes);
BENCHMARK_CAPTURE(check_text, english_avx2, english, simd_level::avx2)
    ->Apply(sizes);
BENCHMARK_CAPTURE(check_text, mixed_portable, mixed, simd_level::portable)
    ->Apply(sizes);
BENCHMARK_CAPTURE(check_text, mixed_sse2, mixed, simd_level::sse2)
    ->Apply(sizes);
BENCHMARK_CAPTURE(check_text, mixed_avx2, mixed, simd_level::avx2)
    ->Apply(sizes);
BENCHMARK_CAPTURE(unmask_and_check, english_portable, english,
                  simd_level::portable)
    ->Apply(sizes);
BENCHMARK_CAPTURE(unmask_and_check, english_sse2, english, simd_level::sse2)
    ->Apply(sizes);
BENCHMARK_CAPTURE(unmask_and_check, english_avx2, english, simd_level::avx2)
    ->Apply(sizes);
BENCHMARK_CAPTURE(unmask_and_check, mixed_portable, mixed, simd_level::portable)
    ->Apply(sizes);
BENCHMARK_CAPTURE(unmask_and_check, mixed_sse2, mixed, simd_level::sse2)
    ->Apply(sizes);
BENCHMARK_CAPTURE(unmask_and_check, mixed_avx2, mixed, simd_level::avx2)
    ->Apply(sizes);

} // namespace

BENCHMARK_MAIN();
