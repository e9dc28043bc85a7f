// The C++ operators at the hard limit of memory: new_handler is asked, and may help; else bad_alloc.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include <jemalloc/jemalloc.h>

#include "../harness.h"

namespace {

constexpr std::size_t mib = 1 << 20;
int calls;
char *reserve;

template <typename T> T *hide(T *ptr) {
	TEST_HIDE(ptr);
	return ptr;
}

std::size_t get(const char *name) {
	std::size_t value = 0, size = sizeof value;
	CHECK(mallctl(name, &value, &size, nullptr, 0) == 0);
	return value;
}

void limit(std::size_t bytes) {
	CHECK(mallctl("ashlar.limit.hard", nullptr, nullptr, &bytes, sizeof bytes) == 0);
}

void help() {
	calls++;
	delete[] reserve;
	reserve = nullptr;
	std::set_new_handler(nullptr);
}

bool throws(std::size_t size) {
	try {
		delete[] hide(new char[size]);
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

} // namespace

int main() {
	reserve = hide(new char[30 * mib]);
	std::memset(reserve, 1, 30 * mib);
	limit(get("stats.ashlar.limit.used") + 20 * mib);
	CHECK(throws(40 * mib)); // more than there is, without anybody to help
	CHECK(hide(new (std::nothrow) char[40 * mib]) == nullptr);
	std::set_new_handler(help);
	char *block = hide(new char[40 * mib]);
	CHECK(calls == 1 && reserve == nullptr);
	std::memset(block, 1, 40 * mib);
	CHECK(throws(40 * mib));
	int many = 0; // small ones run out as well
	static char *blocks[1000000];
	while (many < 1000000 && (blocks[many] = hide(new (std::nothrow) char[100])) != nullptr)
		many++;
	CHECK(many > 50000 && many < 1000000);
	while (many-- > 0)
		delete[] blocks[many];
	delete[] block;
	CHECK(!throws(40 * mib));
	limit(0);
	CHECK(!throws(400 * mib));
	return 0;
}
