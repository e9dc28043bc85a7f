/* A heap that is known: who allocated how much, through templates, inlined functions and threads. Built plain, run under
 * an allocator with profiling. */
#include <cstdlib>
#include <cstring>
#include <thread>

namespace {
void *kept[10000];
int used;

inline __attribute__((always_inline)) void keep(std::size_t size) {
	kept[used++] = std::memset(std::malloc(size), 1, size);
}
} // namespace

namespace store {
template <typename Item> struct table {
	__attribute__((noinline)) void fill(int count) {
		for (int i = 0; i < count; i++)
			keep(sizeof(Item));
		__asm__ volatile("");
	}
};
struct page {
	char bytes[16384];
};
struct row {
	char bytes[600];
};
} // namespace store

__attribute__((noinline)) static void load_pages() {
	store::table<store::page>().fill(800);
	__asm__ volatile("");
}

__attribute__((noinline)) static void load_rows() {
	store::table<store::row>().fill(4000);
	__asm__ volatile("");
}

__attribute__((noinline)) static void make_objects() {
	for (int i = 0; i < 300; i++)
		kept[used++] = new char[50000];
	__asm__ volatile("");
}

int main() {
	load_pages();
	load_rows();
	make_objects();
	std::thread(load_rows).join();
	for (int i = 0; i < 200; i++)
		std::free(kept[i]);
	return 0;
}
