// The same in C++, and what only C++ can say about the prototypes.
#include "program.c"

#include <type_traits>

#if __cplusplus >= 201103L && defined(__GLIBC__)
// The C library's own names promise not to throw.
static_assert(noexcept(free(nullptr)) &&noexcept(malloc(1)) &&noexcept(realloc(nullptr, 1)),
              "as the C library says");
#endif
static_assert(std::is_same<decltype(hooks.split), extent_split_t *>::value, "the member's type");
