// The paths under which the file of a plug-in is loaded.
#include "nginx/plugin/load_path.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <set>

#include <dlfcn.h>
#include <malloc.h>
#include <zlib.h>

namespace websocket::nginx {
namespace {

TEST(load_path, is_another_for_each_file)
{
    std::set<std::string> paths;

    for (dev_t device = 0; device != 50; device++) {
        for (ino_t number = 0; number != 100; number++) {
            const std::string path =
                load_path("/etc/nginx/echo.so", {device, number});

            EXPECT_TRUE(paths.insert(path).second) << path;
            EXPECT_EQ(std::filesystem::path(path).lexically_normal(),
                      "/etc/nginx/echo.so");
        }
    }
}

TEST(load_path, stays_short)
{
    EXPECT_LT(load_path("/a/b.so", {UINT64_MAX, UINT64_MAX}).size(), 410U);
}

TEST(load_path, without_a_folder_begins_with_the_pieces)
{
    EXPECT_EQ(load_path("b.so", {1, 2}), ".//.///././/.///b.so");
}

TEST(load_path, takes_no_memory_when_a_file_is_loaded_again)
{
    Dl_info zlib;

    ASSERT_NE(dladdr(reinterpret_cast<void *>(&deflate), &zlib), 0);

    const auto load = [&zlib] {
        const auto file = identity_of(zlib.dli_fname);

        ASSERT_TRUE(file);
        ASSERT_NE(dlopen(load_path(zlib.dli_fname, *file).c_str(), RTLD_NOW),
                  nullptr);
    };

    load();
    const std::size_t before = mallinfo2().uordblks;

    for (int i = 0; i != 100; i++) {
        load();
    }

    EXPECT_EQ(mallinfo2().uordblks, before);
}

} // namespace
} // namespace websocket::nginx
