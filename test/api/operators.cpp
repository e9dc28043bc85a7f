// The C++ operators: alignment, nothrow, new_handler, sizes, and that all of them share the C heap.
// ctest-timeout: 120
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <jemalloc/jemalloc.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "../harness.h"
#include "model.h"

#ifndef __cpp_sized_deallocation
// clang 14 declares these only when asked to, but the library has them.
void operator delete(void *, std::size_t) noexcept;
void operator delete[](void *, std::size_t) noexcept;
void operator delete(void *, std::size_t, std::align_val_t) noexcept;
void operator delete[](void *, std::size_t, std::align_val_t) noexcept;
#endif

namespace {

constexpr std::size_t impossible = static_cast<std::size_t>(PTRDIFF_MAX) - 4096;

template <typename T> T *hide(T *ptr) {
	TEST_HIDE(ptr);
	return ptr;
}

std::size_t opaque(std::size_t size) {
	TEST_HIDE(size);
	return size;
}

void expect(void *ptr, std::size_t usable, std::size_t alignment) {
	ptr = hide(ptr);
	CHECK(ptr != nullptr);
	CHECK(malloc_usable_size(ptr) == usable);
	CHECK(test_aligned(ptr, alignment));
	std::memset(ptr, 0x77, usable);
}

void every_form() {
	const std::size_t sizes[] = {0, 1, 8, 24, 100, 1000, 5000, 14336, 20000, 300000, 5000000};
	for (std::size_t size : sizes) {
		std::size_t plain = model_usable(size), natural = model_alignment(plain);
		for (int round = 0; round < 20; round++) {
			void *p[8] = {::operator new(size),
			              ::operator new[](size),
			              ::operator new(size, std::nothrow),
			              ::operator new[](size, std::nothrow),
			              ::operator new(size),
			              ::operator new[](size),
			              malloc(size),
			              ::operator new(size)};
			for (void *ptr : p)
				expect(ptr, plain, natural);
			::operator delete(p[0]);
			::operator delete[](p[1]);
			::operator delete(p[2], std::nothrow);
			::operator delete[](p[3], std::nothrow);
			::operator delete(p[4], size);
			::operator delete[](p[5], size);
			::operator delete(p[6]);
			free(p[7]);
		}
	}
}

void every_aligned_form() {
	const std::size_t sizes[] = {1, 8, 24, 100, 1000, 5000, 14336, 20000, 300000};
	for (std::size_t size : sizes) {
		for (std::size_t lg = 3; lg <= 22; lg++) {
			std::size_t number = static_cast<std::size_t>(1) << lg,
				    usable = model_aligned(number, size);
			std::align_val_t alignment{number};
			void *p[6] = {::operator new(size, alignment),
			              ::operator new[](size, alignment),
			              ::operator new(size, alignment, std::nothrow),
			              ::operator new[](size, alignment, std::nothrow),
			              ::operator new(size, alignment),
			              ::operator new[](size, alignment)};
			for (void *ptr : p)
				expect(ptr, usable, number);
			::operator delete(p[0], alignment);
			::operator delete[](p[1], alignment);
			::operator delete(p[2], alignment, std::nothrow);
			::operator delete[](p[3], alignment, std::nothrow);
			::operator delete(p[4], size, alignment);
			::operator delete[](p[5], size, alignment);
		}
	}
}

void *null() {
	void *ptr = nullptr;
	TEST_HIDE(ptr);
	return ptr;
}

void delete_of_null() {
	std::align_val_t alignment{64};
	errno = 4711;
	::operator delete(null());
	::operator delete[](null());
	::operator delete(null(), std::nothrow);
	::operator delete[](null(), std::nothrow);
	::operator delete(null(), opaque(10));
	::operator delete[](null(), opaque(10));
	::operator delete(null(), alignment);
	::operator delete[](null(), alignment);
	::operator delete(null(), alignment, std::nothrow);
	::operator delete[](null(), alignment, std::nothrow);
	::operator delete(null(), opaque(10), alignment);
	::operator delete[](null(), opaque(10), alignment);
	CHECK(errno == 4711);
}

template <typename F> bool throws_bad_alloc(F function) {
	try {
		hide(function());
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

void without_handler() {
	std::set_new_handler(nullptr);
	std::align_val_t alignment{4096};
	std::size_t size = opaque(impossible);
	CHECK(throws_bad_alloc([=] { return ::operator new(size); }));
	CHECK(throws_bad_alloc([=] { return ::operator new[](size); }));
	CHECK(throws_bad_alloc([=] { return ::operator new(size, alignment); }));
	CHECK(throws_bad_alloc([=] { return ::operator new[](size, alignment); }));
	CHECK(hide(::operator new(size, std::nothrow)) == nullptr);
	CHECK(hide(::operator new[](size, std::nothrow)) == nullptr);
	CHECK(hide(::operator new(size, alignment, std::nothrow)) == nullptr);
	CHECK(hide(::operator new[](size, alignment, std::nothrow)) == nullptr);
	CHECK(throws_bad_alloc([=] { return ::operator new(opaque(SIZE_MAX)); }));
	CHECK(hide(::operator new(opaque(SIZE_MAX), std::nothrow)) == nullptr);
}

int calls;

void count_then_remove() {
	if (++calls == 5)
		std::set_new_handler(nullptr);
}

void count_then_throw() {
	if (++calls == 3)
		throw std::bad_alloc();
}

struct other_exception {};

void throw_other() {
	calls++;
	throw other_exception();
}

// The handler is called again and again until it gives up by removing itself or by throwing.
void handler_loops() {
	std::size_t size = opaque(impossible);
	std::align_val_t alignment{128};
	for (int form = 0; form < 8; form++) {
		for (int throwing = 0; throwing < 2; throwing++) {
			std::set_new_handler(throwing != 0 ? count_then_throw : count_then_remove);
			calls = 0;
			void *ptr = hide(&calls);
			bool thrown = throws_bad_alloc([&]() -> void * {
				switch (form) {
				case 0:
					return ptr = ::operator new(size);
				case 1:
					return ptr = ::operator new[](size);
				case 2:
					return ptr = ::operator new(size, alignment);
				case 3:
					return ptr = ::operator new[](size, alignment);
				case 4:
					return ptr = ::operator new(size, std::nothrow);
				case 5:
					return ptr = ::operator new[](size, std::nothrow);
				case 6:
					return ptr = ::operator new(size, alignment, std::nothrow);
				default:
					return ptr = ::operator new[](size, alignment, std::nothrow);
				}
			});
			CHECK(calls == (throwing != 0 ? 3 : 5));
			CHECK(thrown == (form < 4));
			CHECK(form < 4 || ptr == nullptr);
		}
	}
	std::set_new_handler(throw_other);
	bool caught = false;
	calls = 0;
	try {
		hide(::operator new(size));
	} catch (const other_exception &) {
		caught = true;
	}
	CHECK(caught && calls == 1);
	std::set_new_handler(nullptr);
}

rlimit original;

void lift_limit() {
	calls++;
	CHECK(setrlimit(RLIMIT_AS, &original) == 0);
}

// Memory appears when the handler lifts a limit; the retry must still keep the alignment.
void make_room_once(int form, std::size_t number) {
	const std::size_t size = opaque(static_cast<std::size_t>(3) << 30);
	const std::align_val_t alignment{number};
	rlimit tight = original;
	tight.rlim_cur = (test_status_kib("VmSize") << 10) + (static_cast<rlim_t>(256) << 20);
	CHECK(setrlimit(RLIMIT_AS, &tight) == 0);
	std::set_new_handler(lift_limit);
	calls = 0;
	void *ptr = nullptr;
	switch (form) {
	case 0:
		ptr = ::operator new(size);
		break;
	case 1:
		ptr = ::operator new(size, std::nothrow);
		break;
	case 2:
		ptr = ::operator new(size, alignment);
		break;
	case 3:
		ptr = ::operator new[](size, alignment);
		break;
	case 4:
		ptr = ::operator new(size, alignment, std::nothrow);
		break;
	default:
		ptr = ::operator new[](size, alignment, std::nothrow);
		break;
	}
	ptr = hide(ptr);
	CHECK(calls == 1);
	CHECK(ptr != nullptr);
	CHECK(form < 2 || test_aligned(ptr, number));
	CHECK(malloc_usable_size(ptr) == size);
	std::memset(ptr, 1, 100);
	::operator delete(ptr);
}

// Each in a process of its own: address space kept from one would serve the next without the handler.
void handler_makes_room() {
	CHECK(getrlimit(RLIMIT_AS, &original) == 0);
	for (int form = 0; form < 6; form++) {
		for (std::size_t lg = 13; lg <= 30; lg += 17) {
			pid_t child = fork();
			CHECK(child >= 0);
			if (child == 0) {
				make_room_once(form, static_cast<std::size_t>(1) << lg);
				_exit(0);
			}
			int status = 0;
			CHECK(waitpid(child, &status, 0) == child);
			CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		}
	}
}

struct alignas(256) wide {
	unsigned char bytes[300];
	wide() { std::memset(bytes, 3, sizeof bytes); }
	~wide() { CHECK(bytes[0] == 3 && bytes[299] == 3); }
};

char received[512];

void receive(const char *text) {
	std::strncpy(received, text, sizeof received - 1);
}

template <typename T> void set(const char *name, T value) {
	CHECK(mallctl(name, nullptr, nullptr, &value, sizeof value) == 0);
}

// One report, nothing thrown and no handler asked; what receives the report may let the program go on.
void infallible() {
	const std::size_t most = opaque(impossible), align = 4096;
	std::string wanted = "<ashlar>: Allocation of size " + std::to_string(most) + " failed. ";
	std::set_new_handler([] { CHECK(false); });
	set("experimental.hooks.safety_check_abort", receive);
	set("experimental_infallible_new", true);
	for (int form = 0; form < 4; form++) {
		received[0] = 0;
		void *ptr = form == 0   ? ::operator new(most)
		            : form == 1 ? ::operator new[](most, std::nothrow)
		            : form == 2 ? ::operator new (most, std::align_val_t{align})
		                        : ::operator new (most, std::align_val_t{align}, std::nothrow);
		CHECK(hide(ptr) == nullptr);
		CHECK(std::strncmp(received, wanted.c_str(), wanted.size()) == 0);
		CHECK(std::strstr(received, " opt.experimental_infallible_new is true. Aborting.\n") !=
		      nullptr);
	}
	set("experimental_infallible_new", false);
	set("experimental.hooks.safety_check_abort", static_cast<void (*)(const char *)>(nullptr));
	std::set_new_handler(nullptr);
	CHECK(throws_bad_alloc([=] { return ::operator new(most); }));
}

void language_and_library() {
	std::map<std::string, std::vector<int>> table;
	for (int i = 0; i < 3000; i++)
		table["key number " + std::to_string(i)].assign(static_cast<std::size_t>(i % 50), i);
	std::size_t sum = 0;
	for (const auto &entry : table)
		sum += entry.second.size();
	CHECK(sum == 60 * 1225);
	std::vector<std::unique_ptr<wide>> objects;
	for (int i = 0; i < 500; i++) {
		objects.push_back(std::make_unique<wide>());
		CHECK(test_aligned(objects.back().get(), 256));
		CHECK(malloc_usable_size(objects.back().get()) == 512);
	}
	wide *array = hide(new wide[20]);
	CHECK(test_aligned(array, 256));
	delete[] array;
	bool caught = false;
	try {
		throw std::string("an exception object lives on the heap too");
	} catch (const std::string &text) {
		caught = text.size() > 20;
	}
	CHECK(caught);
}

} // namespace

int main() {
	every_form();
	every_aligned_form();
	delete_of_null();
	without_handler();
	handler_loops();
	handler_makes_room();
	infallible();
	language_and_library();
	return 0;
}
