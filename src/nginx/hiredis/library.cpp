// Loads hiredis by the name that the module was built for: what its contexts
// and replies look like changes with it.
#include "nginx/hiredis/library.hpp"

#include <dlfcn.h>

namespace websocket::nginx::hiredis {

namespace {

function_table loaded_functions;

#if WEBSOCKET_HIREDIS

#define WEBSOCKET_TEXT_OF(name) #name
#define WEBSOCKET_TEXT(name) WEBSOCKET_TEXT_OF(name)
#define WEBSOCKET_HIREDIS_SONAME WEBSOCKET_TEXT(HIREDIS_SONAME)

constexpr const char *library = "libhiredis.so." WEBSOCKET_HIREDIS_SONAME;
constexpr const char *package = "libhiredis" WEBSOCKET_HIREDIS_SONAME;

void *loaded = nullptr;

// False: hiredis has nothing of that name.
template <typename Function>
bool find(void *handle, const char *name, Function *&function) noexcept
{
    function = reinterpret_cast<Function *>(dlsym(handle, name));
    return function != nullptr;
}

// Null, or the name of what is not there.
const char *find_all(void *handle, function_table &all) noexcept
{
#define WEBSOCKET_FIND(name, function)                                         \
    if (!find(handle, #name, all.function)) {                                  \
        return #name;                                                          \
    }

    WEBSOCKET_FIND(redisAsyncConnect, connect)
    WEBSOCKET_FIND(redisAsyncConnectUnix, connect_unix)
    WEBSOCKET_FIND(redisAsyncFree, free)
    WEBSOCKET_FIND(redisAsyncHandleRead, handle_read)
    WEBSOCKET_FIND(redisAsyncHandleWrite, handle_write)
    WEBSOCKET_FIND(redisAsyncCommandArgv, command)

#undef WEBSOCKET_FIND
    return nullptr;
}

#endif

} // namespace

#if WEBSOCKET_HIREDIS

std::string load()
{
    if (loaded != nullptr) {
        return {};
    }

    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

    if (handle == nullptr) {
        const char *reason = dlerror();

        return std::string("it needs the library hiredis, Debian's package ") +
               package + ": " + (reason == nullptr ? library : reason);
    }

    if (const char *missing = find_all(handle, loaded_functions);
        missing != nullptr) {
        dlclose(handle);
        return std::string(library) +
               " is not the library it needs: it has no "
               "function " +
               missing;
    }

    loaded = handle;
    return {};
}

std::size_t unsent(const redisAsyncContext &context) noexcept
{
    return context.c.obuf == nullptr ? 0 : sdslen(context.c.obuf);
}

bool has_partial_reply(const redisAsyncContext &context) noexcept
{
    const redisReader &reader = *context.c.reader;

    return reader.len > reader.pos && reader.buf[reader.pos] != '-';
}

#else

std::string load()
{
    return "this module was built without the headers of the library hiredis, "
           "Debian's package libhiredis-dev";
}

std::size_t unsent(const redisAsyncContext &) noexcept
{
    return 0;
}

bool has_partial_reply(const redisAsyncContext &) noexcept
{
    return false;
}

#endif

const function_table &functions() noexcept
{
    return loaded_functions;
}

} // namespace websocket::nginx::hiredis
