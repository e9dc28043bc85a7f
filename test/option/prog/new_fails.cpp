/*
 * new_fails [nothrow]: asks operator new for more than there is and prints what came of it.
 */
#include <cstddef>
#include <cstdio>
#include <new>

int main(int count, char **) {
	volatile std::size_t size = (std::size_t)1 << 60;
	try {
		void *block = count > 1 ? ::operator new(size, std::nothrow) : ::operator new(size);
		std::puts(block == nullptr ? "null" : "block");
	} catch (const std::bad_alloc &) {
		std::puts("bad_alloc");
	}
	return 0;
}
