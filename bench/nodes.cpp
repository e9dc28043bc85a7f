/* nodes.cpp - a C++ program of many small nodes: a map, an unordered_map, a multiset, lists and strings that a simple
 * store of records keeps in step. Each round puts records in, looks them up, renames some and takes the oldest out.
 *     nodes ROUNDS [RECORDS]
 * Prints sums that are the same on every library. */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

/* The same numbers whatever the C++ library does. */
struct Random {
	std::uint64_t state;

	std::uint32_t below(std::uint32_t n) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		return static_cast<std::uint32_t>(((state >> 32) * n) >> 32);
	}
};

struct Record {
	std::uint32_t id;
	std::string name;
	std::list<std::string> notes;
};

class Store {
      public:
	explicit Store(std::uint32_t most) : most_(most) {}

	void add(Random &random) {
		Record record{next_++, word(random), {}};
		for (std::uint32_t i = random.below(4); i > 0; i--)
			record.notes.push_back(word(random));
		by_name_.emplace(record.name, record.id);
		lengths_.insert(record.name.size());
		order_.push_back(record.id);
		by_id_.emplace(record.id, std::move(record));
		if (by_id_.size() > most_) {
			remove(order_.front());
			order_.pop_front();
		}
	}

	void rename(Random &random) {
		auto found = by_id_.find(next_ - 1 - random.below(static_cast<std::uint32_t>(by_id_.size())));
		Record &record = found->second;
		forget(record);
		record.name = word(random) + "'";
		record.notes.push_back(record.name);
		by_name_.emplace(record.name, record.id);
		lengths_.insert(record.name.size());
	}

	/* Sums over the names from a random one on. */
	std::uint64_t look(Random &random) const {
		std::uint64_t sum = 0;
		auto at = by_name_.lower_bound(word(random));
		for (int i = 0; i < 8 && at != by_name_.end(); i++, ++at) {
			for (const std::string &note : by_id_.at(at->second).notes)
				sum += note.size() * 31 + static_cast<unsigned char>(note.back());
		}
		return sum;
	}

	std::uint64_t size() const { return by_name_.size() + lengths_.size() + order_.size(); }

      private:
	static std::string word(Random &random) {
		std::string text;
		for (std::uint32_t i = 3 + random.below(random.below(8) == 0 ? 90 : 20); i > 0; i--)
			text += static_cast<char>('a' + random.below(26));
		return text;
	}

	void forget(const Record &record) {
		auto range = by_name_.equal_range(record.name);
		for (auto at = range.first; at != range.second; ++at) {
			if (at->second == record.id) {
				by_name_.erase(at);
				break;
			}
		}
		lengths_.erase(lengths_.find(record.name.size()));
	}

	void remove(std::uint32_t id) {
		auto found = by_id_.find(id);
		forget(found->second);
		by_id_.erase(found);
	}

	std::uint32_t most_, next_ = 0;
	std::unordered_map<std::uint32_t, Record> by_id_;
	std::multimap<std::string, std::uint32_t> by_name_;
	std::multiset<std::size_t> lengths_;
	std::list<std::uint32_t> order_;
};

} // namespace

int main(int argc, char **argv) {
	if (argc < 2 || argc > 3) {
		std::fprintf(stderr, "usage: nodes ROUNDS [RECORDS]\n");
		return 2;
	}
	Random random{1};
	auto most = static_cast<std::uint32_t>(argc == 3 ? std::atol(argv[2]) : 20000);
	for (long round = 0, rounds = std::atol(argv[1]); round < rounds; round++) {
		Store store(most);
		std::uint64_t sum = 0;
		for (std::uint32_t i = 0; i < 2 * most; i++) {
			store.add(random);
			if (i % 2 == 0)
				store.rename(random);
			sum += store.look(random);
		}
		std::printf("%ld %llu %llu\n", round, static_cast<unsigned long long>(sum),
		            static_cast<unsigned long long>(store.size()));
	}
	return 0;
}
