# Hashes, strings, sorting, regular expressions, and a forked child; prints figures that never change.
use strict;
use warnings;

open(my $maps, '<', '/proc/self/maps') or die;
if (@ARGV) {
	my $found = grep { index($_, $ARGV[0]) >= 0 } <$maps>;
	die "the library is not mapped" unless $found;
}

my %count;
my $state = 12345;
for my $i (1 .. 200_000) {
	$state = ($state * 1103515245 + 12345) % 2147483648;
	$count{"word" . ($state % 20_000)} .= substr("abcdefghijklmnop", $i % 16, 1);
}
my $total = 0;
$total += length($_) for values %count;
print "hash ", scalar(keys %count), " $total\n";
my @sorted = sort { $count{$a} cmp $count{$b} or $a cmp $b } keys %count;
print "sorted $sorted[0] $sorted[-1] $sorted[1000]\n";
delete $count{$_} for @sorted[0 .. 9999];
my $text = join(',', map { "$_=$count{$_}" } sort keys %count);
my $changed = ($text =~ s/(\d)([a-p])/$2$1/g);
print "text ", length($text), " $changed\n";
my @rows = map { [ map { $_ * 3 } 1 .. 50 ] } 1 .. 4000;
my $sum = 0;
$sum += $_->[49] for @rows;
print "rows $sum\n";
my $big = 'x' x 30_000_000;
$big .= 'y' for 1 .. 1000;
print "big ", length($big), "\n";
$| = 1;
my $pid = fork();
if ($pid == 0) {
	my %copy = map { $_ => reverse $count{$_} } keys %count;
	print "child ", scalar(keys %copy), "\n";
	exit 7;
}
waitpid($pid, 0);
print "status ", $? >> 8, "\n";
