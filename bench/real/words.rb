#!/usr/bin/env ruby
# words.rb FILE ROUNDS: hashes, strings, arrays, sorting and regular expressions over a text file.
file, rounds = ARGV
Integer(rounds).times do |round|
  count = Hash.new(0)
  follow = Hash.new { |hash, word| hash[word] = [] }
  long = []
  File.foreach(file).first(30_000).each do |line|
    words = line.chomp.split(' ')
    words.each { |word| count[word] += 1 }
    words.each_cons(2) { |a, b| follow[a] << b }
    long << line.gsub(/([aeiou])(\w)/) { $1.upcase + $2 } if line.size > 60
  end
  top = count.sort_by { |word, n| [-n, word] }.first(5).map(&:first)
  puts [round, count.size, follow.values.sum { |list| list.uniq.size }, long.sort.join('|').size, *top].join(' ')
end
