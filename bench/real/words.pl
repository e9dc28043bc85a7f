#!/usr/bin/env perl
# words.pl FILE ROUNDS: hashes, strings, sorting and regular expressions over a text file.
use strict;
use warnings;

my ($file, $rounds) = @ARGV;
for my $round (1 .. $rounds) {
	my (%count, %follow, @long);
	open(my $in, '<', $file) or die "$file: $!";
	while (my $line = <$in>) {
		last if $. > 60000;
		chomp $line;
		my @words = split / /, $line;
		$count{$_}++ for @words;
		$follow{$words[$_]}{$words[ $_ + 1 ]}++ for 0 .. $#words - 1;
		(my $copy = $line) =~ s/([aeiou])(\w)/\U$1\E$2/g;
		push @long, $copy if length($line) > 60;
	}
	close $in;
	my @top = (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[ 0 .. 4 ];
	my $pairs = 0;
	$pairs += scalar keys %$_ for values %follow;
	my $text = join '|', sort @long;
	print join(' ', $round, scalar(keys %count), $pairs, length($text), @top), "\n";
}
