// Threads pass strings, vectors and shared objects to each other; prints one line that never changes.
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

template <typename T> class channel {
      public:
	void send(T value) {
		std::lock_guard<std::mutex> guard(mutex_);
		items_.push_back(std::move(value));
		filled_.notify_one();
	}

	T receive() {
		std::unique_lock<std::mutex> guard(mutex_);
		filled_.wait(guard, [this] { return !items_.empty(); });
		T value = std::move(items_.front());
		items_.pop_front();
		return value;
	}

      private:
	std::mutex mutex_;
	std::condition_variable filled_;
	std::deque<T> items_;
};

struct alignas(128) record {
	std::string name;
	std::vector<int> numbers;
	std::shared_ptr<record> previous;
	std::function<std::size_t()> measure;
};

std::shared_ptr<record> make(int number, std::shared_ptr<record> previous) {
	auto made = std::make_shared<record>();
	made->name = "record " + std::string(static_cast<std::size_t>(number % 200), '*');
	made->numbers.resize(static_cast<std::size_t>(number % 500));
	std::iota(made->numbers.begin(), made->numbers.end(), number);
	made->previous = std::move(previous);
	std::string copy = made->name;
	made->measure = [copy, number] { return copy.size() + static_cast<std::size_t>(number); };
	return made;
}

std::uint64_t consume(channel<std::shared_ptr<record>> &from) {
	std::uint64_t sum = 0;
	std::map<std::string, std::uint64_t> ordered;
	std::unordered_map<std::size_t, std::string> hashed;
	while (std::shared_ptr<record> got = from.receive()) {
		if (reinterpret_cast<std::uintptr_t>(got.get()) % alignof(record) != 0)
			std::abort();
		sum += got->measure() +
		       std::accumulate(got->numbers.begin(), got->numbers.end(), std::uint64_t{0});
		ordered[got->name] += got->numbers.size();
		hashed[got->numbers.size()] = got->name;
	}
	for (const auto &entry : ordered)
		sum += entry.second;
	for (const auto &entry : hashed)
		sum += entry.second.size() * entry.first;
	return sum;
}

} // namespace

int main() {
	constexpr int pairs = 4, messages = 20000;
	std::vector<std::unique_ptr<channel<std::shared_ptr<record>>>> channels;
	for (int i = 0; i < pairs; i++)
		channels.push_back(std::make_unique<channel<std::shared_ptr<record>>>());
	std::vector<std::future<std::uint64_t>> sums;
	std::vector<std::thread> senders;
	for (int i = 0; i < pairs; i++) {
		sums.push_back(std::async(std::launch::async, consume,
		                          std::ref(*channels[static_cast<std::size_t>(i)])));
		senders.emplace_back([&channels, i] {
			std::shared_ptr<record> last;
			for (int k = 0; k < messages; k++) {
				last = make(k * (i + 1) % 7001, k % 10 == 0 ? nullptr : last);
				channels[static_cast<std::size_t>(i)]->send(last);
			}
			channels[static_cast<std::size_t>(i)]->send(nullptr);
		});
	}
	for (std::thread &sender : senders)
		sender.join();
	std::uint64_t total = 0;
	for (auto &sum : sums)
		total = total * 31 + sum.get();
	std::printf("total %llu\n", static_cast<unsigned long long>(total));
	return 0;
}
