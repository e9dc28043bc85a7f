// A library that comes and goes: it allocates, and throws through its own frames.
#include <cstdlib>
#include <stdexcept>

extern "C" __attribute__((visibility("default"))) void *passing_allocate(unsigned depth, size_t size) {
	if (depth > 0) {
		void *block = passing_allocate(depth - 1, size);
		__asm__ volatile("" : "+r"(block));
		return block;
	}
	return std::malloc(size);
}

extern "C" __attribute__((visibility("default"))) unsigned passing_throw(unsigned depth) {
	try {
		if (depth > 0)
			return passing_throw(depth - 1) + 1;
		throw std::runtime_error("a text that is too long to be kept without a block of its own");
	} catch (const std::logic_error &) {
		return 1000;
	}
}
