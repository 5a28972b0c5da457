// The paths of one plug-in, a different one for each time that it is loaded.
#include "nginx/plugin/load_path.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

namespace websocket::nginx {
namespace {

TEST(load_path, is_another_for_each_number)
{
    std::set<std::string> paths;

    for (std::uint64_t number = 0; number != 5000; number++) {
        const std::string path = load_path("/etc/nginx/echo.so", number);

        EXPECT_TRUE(paths.insert(path).second) << path;
        EXPECT_EQ(std::filesystem::path(path).lexically_normal(),
                  "/etc/nginx/echo.so");
    }
}

TEST(load_path, stays_short)
{
    EXPECT_EQ(load_path("/a/b.so", 0), "/a/b.so");
    EXPECT_LT(load_path("/a/b.so", UINT64_MAX).size(), 210U);
}

TEST(load_path, without_a_folder_begins_with_the_pieces)
{
    EXPECT_EQ(load_path("b.so", 1), ".//b.so");
    EXPECT_EQ(load_path("b.so", 2), "././/b.so");
}

} // namespace
} // namespace websocket::nginx
