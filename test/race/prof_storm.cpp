/*
 * Samples of every kibibyte while everything goes on that unwinders have deadlocked or crashed in: libraries are loaded
 * and unloaded, exceptions are thrown, signals arrive a thousand times a second, threads come and go, the process forks,
 * profiles are dumped, reset, switched, and read by either unwinder. Who hangs is ended by the alarm.
 *
 * TEST_SECONDS: how long, 20 unless said otherwise.
 */
// ctest: MALLOC_CONF=prof:true,lg_prof_sample:10,prof_recent_alloc_max:100,prof_accum:true
// ctest-timeout: 900
// ctest-link: dl
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" int mallctl(const char *name, void *old, size_t *old_size, void *value, size_t value_size);

static std::atomic<bool> stop;
static std::atomic<unsigned long> signals, loads, throws, forks, dumps, calls;

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
			std::_Exit(1); \
		} \
	} while (0)

template <typename T> static int set(const char *name, T value) {
	return mallctl(name, nullptr, nullptr, &value, sizeof value);
}

static void on_signal(int) {
	signals.fetch_add(1, std::memory_order_relaxed);
}

static void allocate_some(unsigned &seed) {
	std::vector<std::unique_ptr<char[]>> blocks;
	for (int i = 0; i < 200; i++) {
		seed = seed * 1664525 + 1013904223;
		size_t size = (seed >> 8) % (i % 50 == 0 ? 200000 : 2000) + 1;
		blocks.emplace_back(new char[size]);
		blocks.back()[0] = 1;
		if (i % 3 == 0)
			blocks.erase(blocks.begin() + static_cast<long>((seed >> 20) % blocks.size()));
	}
}

static void allocator(unsigned seed) {
	while (!stop)
		allocate_some(seed);
}

static void loader() {
	while (!stop) {
		void *library = dlopen("./passing.so", RTLD_NOW | RTLD_LOCAL);
		CHECK(library != nullptr);
		auto *allocate =
			reinterpret_cast<void *(*)(unsigned, size_t)>(dlsym(library, "passing_allocate"));
		auto *thrower = reinterpret_cast<unsigned (*)(unsigned)>(dlsym(library, "passing_throw"));
		CHECK(allocate != nullptr && thrower != nullptr);
		for (unsigned depth = 0; depth < 50; depth += 7) {
			std::free(allocate(depth, depth * 100));
			bool caught = false;
			try {
				(void)thrower(depth);
			} catch (const std::runtime_error &error) {
				caught = std::strlen(error.what()) > 30;
			}
			CHECK(caught);
			throws++;
		}
		CHECK(dlclose(library) == 0);
		loads++;
	}
}

static void short_thread() {
	unsigned seed = 4711;
	allocate_some(seed);
}

static void spawner() {
	while (!stop)
		std::thread(short_thread).join();
}

static void child() {
	alarm(60);
	unsigned seed = 5;
	allocate_some(seed);
	set("prof.dump", static_cast<const char *>("/dev/null"));
	std::thread(short_thread).join();
	std::_Exit(0);
}

static void forker() {
	while (!stop) {
		pid_t pid = fork();
		CHECK(pid >= 0);
		if (pid == 0)
			child();
		int status = -1;
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK(status == 0);
		forks++;
		usleep(5000);
	}
}

static void piece(void *, const char *) {
	calls++;
}

static void controller() {
	struct {
		void (*write)(void *, const char *);
		void *opaque;
	} receiver = {piece, nullptr};
	for (unsigned round = 0; !stop; round++) {
		CHECK(set("prof.dump", static_cast<const char *>("/dev/null")) == 0);
		dumps++;
		CHECK(set("experimental.prof_recent.alloc_dump", receiver) == 0);
		(void)set("prof_unwinder", static_cast<const char *>(round % 2 != 0 ? "frame" : "dwarf"));
		(void)set("prof_format", static_cast<const char *>(round % 3 != 0 ? "text" : "proto"));
		if (round % 10 == 5)
			CHECK(set("prof.reset", static_cast<size_t>(round % 20 == 5 ? 10 : 8)) == 0);
		if (round % 7 == 3)
			CHECK(set("prof.active", false) == 0 && set("prof.active", true) == 0);
		if (round % 15 == 1)
			CHECK(set("prof.log_start", static_cast<const char *>("/dev/null")) == 0);
		if (round % 15 == 9)
			CHECK(mallctl("prof.log_stop", nullptr, nullptr, nullptr, 0) == 0);
		usleep(20000);
	}
}

int main() {
	const char *text = std::getenv("TEST_SECONDS");
	unsigned seconds = text != nullptr ? static_cast<unsigned>(std::strtoul(text, nullptr, 10)) : 20;
	alarm(seconds * 4 + 120);
	struct sigaction action = {};
	action.sa_handler = on_signal;
	action.sa_flags = SA_RESTART;
	CHECK(sigaction(SIGVTALRM, &action, nullptr) == 0);
	struct sigevent event = {}; /* an interval timer of CPU time comes with the kernel's ticks only */
	event.sigev_notify = SIGEV_SIGNAL;
	event.sigev_signo = SIGVTALRM;
	const struct itimerspec every = {{0, 1000000}, {0, 1000000}};
	timer_t timer;
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 &&
	      timer_settime(timer, 0, &every, nullptr) == 0);
	std::vector<std::thread> threads;
	for (unsigned i = 0; i < 2; i++)
		threads.emplace_back(allocator, i);
	threads.emplace_back(loader);
	threads.emplace_back(spawner);
	threads.emplace_back(forker);
	threads.emplace_back(controller);
	for (time_t end = std::time(nullptr) + seconds; std::time(nullptr) < end;) /* signals end a sleep */
		sleep(1);
	stop = true;
	for (auto &thread : threads)
		thread.join();
	std::printf("%lu signals, %lu loads, %lu throws, %lu forks, %lu dumps, %lu pieces\n", signals.load(),
	            loads.load(), throws.load(), forks.load(), dumps.load(), calls.load());
	CHECK(signals > 100 * seconds && loads > 0 && forks > 0 && dumps > 0);
	return 0;
}
