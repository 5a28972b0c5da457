// Used by several fuzz targets.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string_view>

inline void require(bool holds)
{
    if (!holds) {
        std::abort();
    }
}

// Text in an allocation of exactly its size, so that AddressSanitizer finds a
// read past its end.
class exact_text {
public:
    explicit exact_text(std::string_view text)
        : bytes_(new char[text.size()]), size_(text.size())
    {
        text.copy(bytes_.get(), size_);
    }
    std::string_view view() const { return {bytes_.get(), size_}; }

private:
    std::unique_ptr<char[]> bytes_;
    std::size_t size_;
};
