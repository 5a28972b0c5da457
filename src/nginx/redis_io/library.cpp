// Loads hiredis by the name for which the module was built, because its replies
// differ between versions.
#include "nginx/redis_io/library.hpp"

#include <dlfcn.h>

namespace websocket::nginx::hiredis {

namespace {

#define WEBSOCKET_TEXT_OF(name) #name
#define WEBSOCKET_TEXT(name) WEBSOCKET_TEXT_OF(name)
#define WEBSOCKET_HIREDIS_SONAME WEBSOCKET_TEXT(HIREDIS_SONAME)

constexpr const char *library = "libhiredis.so." WEBSOCKET_HIREDIS_SONAME;
constexpr const char *package = "libhiredis" WEBSOCKET_HIREDIS_SONAME;

void *loaded = nullptr;
function_table loaded_functions;

// Returns the name of a function that is missing, or null.
const char *find_all(void *handle, function_table &all) noexcept
{
#define WEBSOCKET_FIND(name, function)                                         \
    all.function =                                                             \
        reinterpret_cast<decltype(all.function)>(dlsym(handle, #name));        \
    if (all.function == nullptr) {                                             \
        return #name;                                                          \
    }

    WEBSOCKET_FIND(redisReaderCreate, create_reader)
    WEBSOCKET_FIND(redisReaderFree, free_reader)
    WEBSOCKET_FIND(redisReaderFeed, feed)
    WEBSOCKET_FIND(redisReaderGetReply, get_reply)
    WEBSOCKET_FIND(freeReplyObject, free_reply)

#undef WEBSOCKET_FIND
    return nullptr;
}

} // namespace

std::string load()
{
    if (loaded != nullptr) {
        return {};
    }

    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

    if (handle == nullptr) {
        const char *reason = dlerror();

        return std::string("cannot load the library hiredis: ") +
               (reason == nullptr ? library : reason) +
               "; install Debian's package " + package;
    }

    if (const char *missing = find_all(handle, loaded_functions);
        missing != nullptr) {
        dlclose(handle);
        return std::string(library) + " has no function " + missing +
               "; install Debian's package " + package;
    }

    loaded = handle;
    return {};
}

const function_table &functions() noexcept
{
    return loaded_functions;
}

} // namespace websocket::nginx::hiredis
