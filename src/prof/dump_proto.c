/* dump_proto.c - heap profiles as pprof's profile.proto, not compressed: a message of fields, each a key and a value.
 *
 *   key = field << 3 | type         type 0: a number in groups of seven bits, lowest first     type 2: a length, and bytes
 *
 *   Profile { 1 ValueType*  2 Sample*  3 Mapping*  4 Location*  6 string*  9 time  11 period type  12 period  14 default }
 *   Sample  { 1 location ids, innermost first   2 values   3 Label* }
 *
 * Samples have the values alloc_objects, alloc_space (with what was freed, where the option prof_accum keeps that; else
 * the same as live), inuse_objects, inuse_space, pinned_space: estimates, corrected for sampling. pinned_space are the bytes
 * of slabs that these blocks keep from being given back: a slab's bytes, shared by the blocks in it. Labels: the thread, the
 * arena by name or number, and how old the live samples are on the average. Symbols are left to readers: locations have
 * addresses, mappings build ids.
 *
 * Fields may come in any order, and so nothing but one small message is ever kept: strings get their numbers when they are
 * sent, locations are told by their addresses. */
#define _GNU_SOURCE 1
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <string.h>

#include "arena/arena.h"
#include "ctl/ctl.h"
#include "os/os.h"
#include "prof/inside.h"

enum { PROFILE_SAMPLE_TYPE = 1, PROFILE_SAMPLE, PROFILE_MAPPING, PROFILE_LOCATION, PROFILE_STRING = 6 };
enum { PROFILE_TIME = 9, PROFILE_PERIOD_TYPE = 11, PROFILE_PERIOD, PROFILE_DEFAULT = 14 };

/* A message inside the profile, small enough to be made before it is sent. Its user sets `used` to 0. */
struct message {
	size_t used;
	unsigned char data[DEPTH_MAX * 11 + 256];
};

/* Returns the bytes it took, at most ten. */
static size_t encode(unsigned char *to, uint64_t value) {
	size_t used = 0;
	for (; value >= 0x80; value >>= 7)
		to[used++] = (unsigned char)(value | 0x80);
	to[used++] = (unsigned char)value;
	return used;
}

static void put_number(struct message *message, uint64_t value) {
	message->used += encode(message->data + message->used, value);
}

static void put_field(struct message *message, unsigned field, uint64_t value) {
	put_number(message, field << 3);
	put_number(message, value);
}

static void send_pair(struct output *out, uint64_t key, uint64_t value) {
	unsigned char pair[2 * 10];
	size_t used = encode(pair, key);
	used += encode(pair + used, value);
	output_bytes(out, pair, used);
}

static void send_number(struct output *out, unsigned field, uint64_t value) {
	send_pair(out, field << 3, value);
}

static void send_bytes(struct output *out, unsigned field, const void *data, size_t size) {
	send_pair(out, field << 3 | 2, size);
	output_bytes(out, data, size);
}

static void send_message(struct output *out, unsigned field, const struct message *message) {
	send_bytes(out, field, message->data, message->used);
}

/* -- strings: the numbers of these are known, others follow ------------------------------------------------------- */

enum string {
	STRING_NONE,
	STRING_ALLOC_OBJECTS,
	STRING_ALLOC_SPACE,
	STRING_INUSE_OBJECTS,
	STRING_INUSE_SPACE,
	STRING_PINNED_SPACE,
	STRING_COUNT,
	STRING_BYTES,
	STRING_SPACE,
	STRING_THREAD,
	STRING_THREAD_NAME,
	STRING_ARENA,
	STRING_AGE,
	STRING_MILLISECONDS,
	STRINGS
};

static const char *const strings[STRINGS] = {
	"",      "alloc_objects", "alloc_space", "inuse_objects", "inuse_space", "pinned_space",
	"count", "bytes",         "space",       "thread",        "thread_name", "arena",
	"age",   "milliseconds",
};

#define ID_MAX 64u

/* In memory of its own: who dumps may have a small stack. */
struct writer {
	struct output *out;
	uint64_t strings; /* sent so far */
	size_t mappings, room;
	int memory;                /* /proc/self/mem */
	uintptr_t base;            /* where the last file began that was seen from its beginning, */
	char path[PATH_MAX + 128]; /* and its name */
	char id[2 * ID_MAX + 1];   /* its build id, in hexadecimal */
	_Alignas(8) char notes[1024];
	struct message message, label;
	char line[PATH_MAX + 128], piece[1024];
	struct {
		uintptr_t start, end;
	} mapping[]; /* upwards, as the system lists them; there is room for so many */
};

static uint64_t add_string(struct writer *writer, const char *string) {
	send_bytes(writer->out, PROFILE_STRING, string, strlen(string));
	return writer->strings++;
}

static void send_type(struct writer *writer, unsigned field, const enum string type[2]) {
	struct message *message = &writer->message;
	message->used = 0;
	put_field(message, 1, type[0]);
	put_field(message, 2, type[1]);
	send_message(writer->out, field, message);
}

static void put_head(struct writer *writer) {
	static const enum string types[][2] = {
		{STRING_ALLOC_OBJECTS, STRING_COUNT}, {STRING_ALLOC_SPACE, STRING_BYTES},
		{STRING_INUSE_OBJECTS, STRING_COUNT}, {STRING_INUSE_SPACE, STRING_BYTES},
		{STRING_PINNED_SPACE, STRING_BYTES},
	};
	for (int i = 0; i < STRINGS; i++)
		(void)add_string(writer, strings[i]);
	for (size_t i = 0; i < COUNT_OF(types); i++)
		send_type(writer, PROFILE_SAMPLE_TYPE, types[i]);
	send_type(writer, PROFILE_PERIOD_TYPE, (const enum string[]){STRING_SPACE, STRING_BYTES});
	send_number(writer->out, PROFILE_PERIOD, (uint64_t)1 << prof_lg_sample());
	send_number(writer->out, PROFILE_DEFAULT, STRING_INUSE_SPACE);
	send_number(writer->out, PROFILE_TIME, os_wall_time());
}

/* -- mappings: what the system says is mapped to be executed ------------------------------------------------------- */

static void find_note(struct writer *writer, const char *notes, size_t size) {
	ElfW(Nhdr) note;
	for (size_t at = 0; at + sizeof note <= size;
	     at += sizeof note + round_up(note.n_namesz, 4) + round_up(note.n_descsz, 4)) {
		memcpy(&note, notes + at, sizeof note);
		if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != 4 || note.n_descsz > ID_MAX ||
		    at + sizeof note + 4 + note.n_descsz > size)
			continue;
		struct text text = text_over(writer->id, sizeof writer->id);
		for (unsigned i = 0; i < note.n_descsz; i++)
			text_add(&text, "%02x", (unsigned char)notes[at + sizeof note + 4 + i]);
		return;
	}
}

/* Bytes of this process's own memory, which may be gone meanwhile. Asking the loader what is there would mean to wait for
 * its lock, which in a forked child may be nobody's. */
static size_t read_memory(const struct writer *writer, uintptr_t at, void *to, size_t size) {
	return os_read_at(writer->memory, to, size, at);
}

/* The build id of the object whose file begins at `base`. */
static void find_id(struct writer *writer, uintptr_t base) {
	ElfW(Ehdr) head;
	ElfW(Phdr) part;
	if (read_memory(writer, base, &head, sizeof head) != sizeof head ||
	    memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_phentsize != sizeof part)
		return;
	for (unsigned i = 0; i < head.e_phnum && writer->id[0] == 0; i++) {
		uintptr_t at = base + head.e_phoff + i * sizeof part;
		if (read_memory(writer, at, &part, sizeof part) != sizeof part)
			return;
		if (part.p_type != PT_NOTE)
			continue;
		size_t size = size_min(part.p_filesz, sizeof writer->notes);
		if (read_memory(writer, base + part.p_offset, writer->notes, size) == size)
			find_note(writer, writer->notes, size);
	}
}

/* Takes a hexadecimal number off the front, and the character after it. */
static uint64_t take_hex(const char **at) {
	uint64_t value = 0;
	for (;; ++*at) {
		char c = **at;
		unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
		                 : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
		                                        : 16;
		if (digit == 16)
			break;
		value = value << 4 | digit;
	}
	*at += **at != 0;
	return value;
}

/* start-end perms offset device inode path */
static void put_mapping(struct writer *writer, const char *line) {
	struct message *message = &writer->message;
	uint64_t start = take_hex(&line), end = take_hex(&line);
	bool executable = strnlen(line, 5) == 5 && line[2] == 'x';
	line += size_min(strlen(line), 5);
	uint64_t offset = take_hex(&line);
	const char *path = strpbrk(line, "/[");
	if (offset == 0 && path != NULL && *path == '/') {
		writer->base = start;
		memcpy(writer->path, path, strlen(path) + 1);
	}
	if (!executable || writer->mappings == writer->room)
		return;
	writer->id[0] = 0;
	if (path != NULL && strcmp(path, writer->path) == 0)
		find_id(writer, writer->base);
	writer->mapping[writer->mappings].start = start;
	writer->mapping[writer->mappings++].end = end;
	message->used = 0;
	put_field(message, 1, writer->mappings);
	put_field(message, 2, start);
	put_field(message, 3, end);
	put_field(message, 4, offset);
	put_field(message, 5, add_string(writer, path == NULL ? "" : path));
	if (writer->id[0] != 0)
		put_field(message, 6, add_string(writer, writer->id));
	send_message(writer->out, PROFILE_MAPPING, message);
}

/* Readers take the first mapping for the program itself, which the system lists first. */
static void put_mappings(struct writer *writer) {
	size_t used = 0, got;
	int file = os_open("/proc/self/maps");
	if (file < 0)
		return;
	writer->memory = os_open("/proc/self/mem");
	while ((got = os_read(file, writer->piece, sizeof writer->piece)) != 0) {
		for (size_t i = 0; i < got; i++) {
			if (writer->piece[i] != '\n') {
				writer->line[used] = writer->piece[i];
				used += used < sizeof writer->line - 1;
				continue;
			}
			writer->line[used] = 0;
			used = 0;
			put_mapping(writer, writer->line);
		}
	}
	os_close(writer->memory);
	os_close(file);
}

/* -- locations and samples ------------------------------------------------------------------------------------------ */

/* 0: in none that is known. */
static size_t mapping_of(const struct writer *writer, uintptr_t address) {
	size_t low = 0, high = writer->mappings;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (address >= writer->mapping[middle].end)
			low = middle + 1;
		else
			high = middle;
	}
	return low < writer->mappings && address >= writer->mapping[low].start ? low + 1 : 0;
}

static void sift_down(void **heap, size_t at, size_t count) {
	for (size_t child; (child = 2 * at + 1) < count; at = child) {
		child += child + 1 < count && (uintptr_t)heap[child + 1] > (uintptr_t)heap[child];
		if ((uintptr_t)heap[at] >= (uintptr_t)heap[child])
			return;
		void *swap = heap[at];
		heap[at] = heap[child];
		heap[child] = swap;
	}
}

static void sort(void **frames, size_t count) {
	for (size_t i = count / 2; i > 0; i--)
		sift_down(frames, i - 1, count);
	for (size_t left = count; left > 1; left--) {
		void *last = frames[left - 1];
		frames[left - 1] = frames[0];
		frames[0] = last;
		sift_down(frames, 0, left - 1);
	}
}

/* Callers are kept as where they will return to; the call is one byte before. Its address is also the location's id. */
static uint64_t location_of(const void *frame) {
	return frame == NULL ? 1 : (uintptr_t)frame - 1;
}

/* Uses up the frames. */
static void put_locations(struct writer *writer, void **frames, size_t count) {
	struct message *message = &writer->message;
	sort(frames, count);
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && frames[i] == frames[i - 1])
			continue;
		uint64_t location = location_of(frames[i]);
		message->used = 0;
		put_field(message, 1, location);
		put_field(message, 2, mapping_of(writer, location));
		put_field(message, 3, location);
		send_message(writer->out, PROFILE_LOCATION, message);
	}
}

static void put_label(struct writer *writer, enum string key, unsigned field, uint64_t value) {
	struct message *message = &writer->message, *label = &writer->label;
	label->used = 0;
	put_field(label, 1, key);
	put_field(label, field, value);
	if (key == STRING_AGE)
		put_field(label, 4, STRING_MILLISECONDS);
	put_number(message, 3 << 3 | 2);
	put_number(message, label->used);
	memcpy(message->data + message->used, label->data, label->used);
	message->used += label->used;
}

/* A string is field 2 of a label, a number field 3. */
static void put_labels(struct writer *writer, const struct view_site *site) {
	char name[ARENA_NAME_MAX] = "";
	struct arena *arena = arena_at(site->arena);
	put_label(writer, STRING_THREAD, 3, site->thread->uid);
	if (site->thread->name[0] != 0)
		put_label(writer, STRING_THREAD_NAME, 2, add_string(writer, site->thread->name));
	if (arena != NULL)
		arena_read_name(arena, name);
	if (name[0] != 0)
		put_label(writer, STRING_ARENA, 2, add_string(writer, name));
	else
		put_label(writer, STRING_ARENA, 3, site->arena);
	if (site->live.objects != 0)
		put_label(writer, STRING_AGE, 3, (uint64_t)(site->age / (double)site->live.objects / 1e6));
}

static void put_sample(struct writer *writer, const struct view_site *site) {
	const struct prof_counts *all = opt.prof_accum ? &site->all : &site->live;
	struct message *message = &writer->message;
	if (all->objects == 0)
		return;
	message->used = 0;
	for (unsigned i = 0; i < site->depth; i++)
		put_field(message, 1, location_of(site->frames[i]));
	put_field(message, 2, (all->eighths + 4) / 8);
	put_field(message, 2, all->weighed);
	put_field(message, 2, (site->live.eighths + 4) / 8);
	put_field(message, 2, site->live.weighed);
	put_field(message, 2, site->pinned);
	put_labels(writer, site);
	send_message(writer->out, PROFILE_SAMPLE, message);
}

/* Mappings there are, and some that come meanwhile. */
static size_t count_mappings(void) {
	char piece[512];
	size_t lines = 64, got;
	int file = os_open("/proc/self/maps");
	if (file < 0)
		return 0;
	while ((got = os_read(file, piece, sizeof piece)) != 0)
		for (size_t i = 0; i < got; i++)
			lines += piece[i] == '\n';
	os_close(file);
	return lines;
}

int dump_proto(struct output *out, struct view *view) {
	size_t frames = 0, room = count_mappings(), size;
	struct writer *writer;
	size = sizeof *writer + room * sizeof writer->mapping[0];
	writer = pages_take(size);
	if (writer == NULL)
		return ENOMEM;
	writer->out = out;
	writer->room = room;
	put_head(writer);
	put_mappings(writer);
	for (size_t i = 0; i < view->sites; i++) {
		const struct view_site *site = &view->site[i];
		frames = size_max(frames, (size_t)(site->frames + site->depth - view->frames));
		put_sample(writer, site);
	}
	put_locations(writer, view->frames, frames);
	pages_give(writer, size);
	return 0;
}
