# Hashes, strings, threads and a garbage collection; prints figures that never change.
if ARGV[0] && !File.read('/proc/self/maps').include?(ARGV[0])
  abort 'the library is not mapped'
end
table = {}
60_000.times { |i| table["key#{i}"] = [i, i.to_s * (i % 13), { n: i }] }
puts "table #{table.size} #{table.values.sum { |v| v[1].size }}"
60_000.times { |i| table.delete("key#{i}") if i % 3 == 0 }
GC.start
puts "left #{table.size} #{table.keys.sort.first(3).join(' ')}"
sums = 8.times.map do |n|
  Thread.new { (1..4000).map { |i| ('a'..'z').to_a.join * (i % 9) }.sum(&:size) + n }
end.map(&:value)
puts "threads #{sums.join(' ')}"
text = table.map { |k, v| "#{k}=#{v[1]}" }.join(',')
puts "text #{text.size} #{text.scan(/[0-9]+/).size} #{text.gsub(/key(\d+)/, '<\1>').size}"
puts "big #{(3**60_000).to_s.size} #{('x' * 40_000_000).size}"
