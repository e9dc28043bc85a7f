// C++ thread_local objects whose constructors and destructors use the heap, some made while others die.
// ctest-timeout: 300
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <atomic>
#include <map>

#include "../harness.h"

namespace {

std::atomic<std::size_t> made, destroyed;

struct leaf {
	std::string text;
	std::unique_ptr<char[]> block;
	explicit leaf(int number) : text(static_cast<std::size_t>(number % 900), 'x'), block(new char[500]) {
		made++;
	}
	~leaf() {
		std::string copy = text + text;
		CHECK(copy.size() == 2 * text.size());
		block.reset();
		block = std::make_unique<char[]>(3000);
		destroyed++;
	}
};

// Touched for the first time by the destructor of `early`.
leaf &late() {
	static thread_local leaf object(17);
	return object;
}

struct branch {
	std::map<int, std::string> table;
	std::list<leaf> leaves;
	branch() {
		for (int i = 0; i < 20; i++)
			table[i] = std::string(static_cast<std::size_t>(i) * 30, 'y');
		for (int i = 0; i < 5; i++)
			leaves.emplace_back(i * 100);
	}
	~branch() {
		CHECK(table.size() == 20 && table[19].size() == 570);
		late().text += "used in a destructor";
		table.clear();
	}
};

thread_local branch early;
thread_local std::vector<std::string> plain;

void life(int number) {
	if (number % 3 == 0)
		plain.assign(100, std::string(200, 'z'));
	CHECK(early.table.size() == 20);
	for (int i = 0; i < number % 50; i++)
		plain.push_back(std::to_string(i));
}

} // namespace

int main() {
	const std::size_t rounds = test_scaled(3000) / 8 + 4;
	std::size_t settled = 0;
	for (std::size_t round = 0; round < rounds; round++) {
		std::vector<std::thread> threads;
		for (int i = 0; i < 8; i++)
			threads.emplace_back(life, static_cast<int>(round) + i);
		for (std::thread &thread : threads)
			thread.join();
		if (round == rounds / 4)
			settled = test_status_kib("VmRSS");
	}
	CHECK(made == destroyed && made == rounds * 8 * 6);
	CHECK(test_status_kib("VmRSS") <= settled + settled / 4 + 4096);
	return 0;
}
