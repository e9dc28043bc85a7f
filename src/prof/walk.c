/* walk.c - callers by the tables that exceptions use, as the C runtime's unwinder finds them, but each place's rule is worked
 * out once and kept.
 *
 *   rule of a place in the code:   frame's end = rsp or rbp, + a number          caller = word before the frame's end
 *                                  caller's rbp = the same, or kept in the frame
 *
 *   tables of an object:   header, sorted by code  -->  FDE of a function  -->  CIE: what its kind of functions begin with
 *                                                          |
 *                                                          v
 *                          instructions, from the function's beginning on: how the rule changes
 *
 * A library may have been unloaded, and another one, with the same code even, loaded where it was. So a rule is used only
 * while the object that is there has the build id of the one it was worked out for. Of an object without one, the rule is
 * kept with its FDE's place in the sorted table, and used only while there is an FDE for the address at that place, and it
 * and its CIE have the bytes that the rule follows from. Objects are found without the loader's lock. Entries are written
 * without a lock: one that was written by two at a time does not check. Whatever is not as simple as this (signal frames,
 * expressions, code without tables) is left to the runtime's unwinder.
 *
 * Tables can be wrong: a word is read only above the last frame, at most STEP_MAX from it, and where everything from here
 * to there can be read; or, where a program changes stacks and rbp leads to the one before, where a frame can be read there.
 * Else the stack ends, and the runtime's unwinder, which checks nothing, is not asked. */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>
#include "os/os.h"
#include "prof/inside.h"

#if defined(__x86_64__) && defined(DLFO_STRUCT_HAS_EH_DBASE)

#pragma weak _dl_find_object

#define ENTRIES   8192u /* a power of two */
#define REMEMBER  4     /* states put aside by instructions */
#define PC_SDATA4 0x1b  /* encodings: a signed number of four bytes, from where it stands */
#define HDR_TABLE 0x3b  /* or from the header's beginning */
#define UDATA4    0x03

enum { RBP = 6, RSP = 7, RA = 16 }; /* as the tables number them */

/* -- reading --------------------------------------------------------------------------------------------------- */

struct cursor {
	const uint8_t *at, *end;
};

static uint64_t take_bytes(struct cursor *cursor, size_t size) {
	uint64_t value = 0;
	if ((size_t)(cursor->end - cursor->at) < size) {
		cursor->at = cursor->end;
		return 0;
	}
	memcpy(&value, cursor->at, size);
	cursor->at += size;
	return value;
}

static uint64_t take_leb(struct cursor *cursor, bool is_signed) {
	uint64_t value = 0, byte;
	unsigned shift = 0;
	do {
		byte = take_bytes(cursor, 1);
		value |= shift < 64 ? (byte & 0x7f) << shift : 0;
		shift += 7;
	} while ((byte & 0x80) != 0);
	if (is_signed && shift < 64 && (byte & 0x40) != 0)
		value |= ~(uint64_t)0 << shift;
	return value;
}

static int64_t take_signed4(struct cursor *cursor) {
	return (int32_t)take_bytes(cursor, 4);
}

/* -- instructions ---------------------------------------------------------------------------------------------- */

enum kept { KEPT_SAME, KEPT_AT, KEPT_NOWHERE, KEPT_ELSEHOW };

struct row {
	unsigned base;  /* RSP or RBP; another: not known */
	int64_t offset; /* frame's end = base + offset */
	struct {
		enum kept how;
		int64_t offset; /* from the frame's end */
	} rbp, ra;
};

struct machine {
	uint64_t at; /* bytes from the function's beginning */
	uint64_t code_align;
	int64_t data_align;
	struct row row, first, aside[REMEMBER];
	unsigned kept_aside;
	bool wrong; /* no table says so */
};

/* STOP: left to the runtime; WRONG: there is no such operation, and the runtime would abort. */
enum operand { NONE, ULEB, SLEB, BLOCK, ONE = 0x11, TWO = 0x12, FOUR = 0x14, STOP = 0x20, WRONG = 0x40 };

static const uint8_t operands[][2] = {
	[0x01] = {STOP},           [0x02] = {ONE},         [0x03] = {TWO},        [0x04] = {FOUR},
	[0x05] = {ULEB, ULEB},     [0x06] = {ULEB},        [0x07] = {ULEB},       [0x08] = {ULEB},
	[0x09] = {ULEB, ULEB},     [0x0c] = {ULEB, ULEB},  [0x0d] = {ULEB},       [0x0e] = {ULEB},
	[0x0f] = {BLOCK},          [0x10] = {ULEB, BLOCK}, [0x11] = {ULEB, SLEB}, [0x12] = {ULEB, SLEB},
	[0x13] = {SLEB},           [0x14] = {ULEB, ULEB},  [0x15] = {ULEB, SLEB}, [0x16] = {ULEB, BLOCK},
	[0x17 ... 0x2d] = {WRONG}, [0x2e] = {ULEB},        [0x2f] = {STOP},       [0x30 ... 0x3f] = {WRONG},
};

static uint64_t take_operand(struct cursor *cursor, unsigned kind) {
	if (kind == NONE)
		return 0;
	if (kind == ULEB || kind == SLEB)
		return take_leb(cursor, kind == SLEB);
	if (kind != BLOCK)
		return take_bytes(cursor, kind & 0xf);
	uint64_t size = take_leb(cursor, false);
	cursor->at += size_min(size, (size_t)(cursor->end - cursor->at));
	return 0;
}

static void set_kept(struct machine *machine, uint64_t number, enum kept how, int64_t offset) {
	if (number == RBP) {
		machine->row.rbp.how = how;
		machine->row.rbp.offset = offset;
	} else if (number == RA) {
		machine->row.ra.how = how;
		machine->row.ra.offset = offset;
	}
}

static void restore(struct machine *machine, uint64_t number) {
	if (number == RBP)
		machine->row.rbp = machine->first.rbp;
	else if (number == RA)
		machine->row.ra = machine->first.ra;
}

/* What the operation does to the rule of one register. */
static void apply_to_register(struct machine *machine, unsigned operation, uint64_t number, int64_t value) {
	static const uint8_t how[] = {[0x05] = KEPT_AT,      [0x11] = KEPT_AT,      [0x07] = KEPT_NOWHERE,
	                              [0x08] = KEPT_SAME,    [0x09] = KEPT_ELSEHOW, [0x10] = KEPT_ELSEHOW,
	                              [0x14] = KEPT_ELSEHOW, [0x15] = KEPT_ELSEHOW, [0x16] = KEPT_ELSEHOW};
	if (operation == 0x06)
		restore(machine, number);
	else
		set_kept(machine, number, how[operation], value * machine->data_align);
}

static bool put_aside(struct machine *machine, bool back) {
	if (machine->kept_aside == (back ? 0 : REMEMBER)) {
		machine->wrong = back;
		return false;
	}
	if (back)
		machine->row = machine->aside[--machine->kept_aside];
	else
		machine->aside[machine->kept_aside++] = machine->row;
	return true;
}

/* False: it is not understood. */
static bool apply(struct machine *machine, unsigned operation, uint64_t first, uint64_t second) {
	struct row *row = &machine->row;
	switch (operation) {
	case 0x00:
	case 0x2e:
		return true;
	case 0x02:
	case 0x03:
	case 0x04:
		machine->at += first * machine->code_align;
		return true;
	case 0x0a:
	case 0x0b:
		return put_aside(machine, operation == 0x0b);
	case 0x0c:
	case 0x12:
		row->base = (unsigned)first;
		row->offset = operation == 0x0c ? (int64_t)second : (int64_t)second * machine->data_align;
		return true;
	case 0x0d:
		row->base = (unsigned)first;
		return true;
	case 0x0e:
	case 0x13:
		row->offset = operation == 0x0e ? (int64_t)first : (int64_t)first * machine->data_align;
		return true;
	case 0x0f:
		row->base = 0;
		return true;
	default:
		apply_to_register(machine, operation, first, (int64_t)second);
		return true;
	}
}

/* One instruction: an operation with operands, or one in the first two bits of a byte and an operand in the others. */
static bool step(struct machine *machine, struct cursor *cursor) {
	unsigned byte = (unsigned)take_bytes(cursor, 1), low = byte & 0x3f;
	switch (byte >> 6) {
	case 1:
		machine->at += low * machine->code_align;
		return true;
	case 2:
		set_kept(machine, low, KEPT_AT, (int64_t)take_leb(cursor, false) * machine->data_align);
		return true;
	case 3:
		restore(machine, low);
		return true;
	default:
		break;
	}
	if (operands[low][0] >= STOP) {
		machine->wrong = operands[low][0] == WRONG;
		return false;
	}
	uint64_t first = take_operand(cursor, operands[low][0]),
		 second = take_operand(cursor, operands[low][1]);
	return apply(machine, low, first, second);
}

/* Runs until the place is passed. False: there is something that is not understood. */
static bool run(struct machine *machine, struct cursor cursor, uint64_t place) {
	bool good = true;
	while (good && cursor.at < cursor.end && machine->at <= place)
		good = step(machine, &cursor);
	return good;
}

/* -- tables ---------------------------------------------------------------------------------------------------- */

/* Skips what comes before the instructions. False: something is not as usual. */
static bool read_cie(struct cursor *cursor, struct machine *machine) {
	uint64_t version = (take_bytes(cursor, 4), take_bytes(cursor, 1)); /* after the id */
	const char *augmentation = (const char *)cursor->at;
	bool plain = version == 1 && augmentation[0] == 'z';
	while (take_bytes(cursor, 1) != 0)
		continue;
	machine->code_align = take_leb(cursor, false);
	machine->data_align = (int64_t)take_leb(cursor, true);
	plain = plain && take_bytes(cursor, 1) == RA;
	uint64_t size = take_leb(cursor, false);
	struct cursor data = {cursor->at, cursor->at + size_min(size, (size_t)(cursor->end - cursor->at))};
	cursor->at = data.end;
	for (const char *letter = augmentation + 1; plain && *letter != 0; letter++) {
		uint64_t encoding = take_bytes(&data, 1);
		if (*letter == 'R')
			plain = encoding == PC_SDATA4;
		else if (*letter == 'P')
			(void)take_bytes(&data, (encoding & 7) == 3 ? 4 : 8);
		else
			plain = *letter == 'L';
	}
	return plain;
}

/* The record that begins at `at`, without its length. Empty: it is of the long kind. */
static struct cursor record_at(const uint8_t *at) {
	uint32_t length;
	memcpy(&length, at, sizeof length);
	at += sizeof length;
	return (struct cursor){at, length == UINT32_MAX ? at : at + length};
}

/* machine->row: the rule at an address of the function described here. False: it is not understood, or wrong. */
static bool read_fde(const uint8_t *fde, uintptr_t pc, struct machine *machine) {
	struct cursor cursor = record_at(fde);
	const uint8_t *field = cursor.at;
	int64_t back = take_signed4(&cursor);
	struct cursor cie = record_at(field - back);
	*machine = (struct machine){.at = 0};
	if (cursor.at == cursor.end || !read_cie(&cie, machine))
		return false;
	uintptr_t start = (uintptr_t)cursor.at;
	start += (uintptr_t)take_signed4(&cursor);
	uint64_t size = take_bytes(&cursor, 4), augmentation = take_leb(&cursor, false);
	if (pc - start >= size || augmentation > (size_t)(cursor.end - cursor.at))
		return false;
	cursor.at += augmentation;
	if (!run(machine, cie, UINT64_MAX))
		return false;
	machine->first = machine->row;
	machine->at = 0;
	return run(machine, cursor, pc - start);
}

/* -- objects --------------------------------------------------------------------------------------------------- */

/* The object that the last address was in, and its table. */
struct object {
	uintptr_t start, size;
	const uint8_t *header; /* NULL: it has none, or not of the usual kind */
	uint32_t count;        /* of FDEs */
	uint64_t identity;     /* of what is loaded there; 0: it cannot be told */
	const uint8_t *cie;    /* mixed last, and: */
	uint64_t mixed;
};

/* Where the build id of an object begins in its first page, which has what programs begin with. Checked by the note itself
 * whenever it is read: another object may be there.
 *
 *   63              12 11        0
 *   | page of object  | id's place |        place: 0: not looked for yet; NO_ID: there is none */
static _Atomic(uint64_t) ids[64]; /* [atomic] */

#define NO_ID    1u
#define ID_BYTES 16u /* of it that count; it has no fewer */

/* A note is its three sizes and "GNU"; the id follows. */
static bool is_id(const uint8_t *id) {
	uint32_t words[4];
	memcpy(words, id - sizeof words, sizeof words);
	return words[0] == 4 && words[1] >= ID_BYTES && words[2] == NT_GNU_BUILD_ID &&
	       memcmp(&words[3], "GNU", 4) == 0;
}

/* In the notes at [at, end) of the page; NO_ID: it is not there. */
static unsigned find_id_in_notes(const uint8_t *page, uint64_t at, uint64_t end) {
	while (at + sizeof(ElfW(Nhdr)) + 4 + ID_BYTES <= end) {
		ElfW(Nhdr) note;
		memcpy(&note, page + at, sizeof note);
		uint64_t content = at + sizeof note + round_up(note.n_namesz, 4);
		if (note.n_namesz == 4 && is_id(page + content))
			return (unsigned)content;
		at = content + round_up(note.n_descsz, 4);
	}
	return NO_ID;
}

static unsigned find_id(const uint8_t *page) {
	ElfW(Ehdr) head;
	unsigned place = NO_ID;
	if (!os_readable(page))
		return NO_ID;
	memcpy(&head, page, sizeof head);
	if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_phoff > PAGE ||
	    head.e_phnum > (PAGE - head.e_phoff) / sizeof(ElfW(Phdr)))
		return NO_ID;
	for (unsigned i = 0; i < head.e_phnum && place == NO_ID; i++) {
		ElfW(Phdr) part;
		memcpy(&part, page + head.e_phoff + i * sizeof part, sizeof part);
		if (part.p_type == PT_NOTE && part.p_offset < PAGE && part.p_filesz <= PAGE - part.p_offset)
			place = find_id_in_notes(page, part.p_offset, part.p_offset + part.p_filesz);
	}
	return place;
}

/* What is loaded, and where: the same object's rules stay the same. */
static uint64_t identify(const struct object *object) {
	_Atomic(uint64_t) *kept = &ids[(object->start * 0x9e3779b97f4a7c15u) >> 58];
	const uint8_t *page = (const uint8_t *)object->start;
	uint64_t known = load_relaxed(kept), id[2];
	unsigned place = known - object->start < PAGE ? (unsigned)(known - object->start) : 0;
	if (place == 0 || (place != NO_ID && !is_id(page + place))) {
		place = find_id(page);
		store_relaxed(kept, object->start + place);
	}
	if (place == NO_ID)
		return 0;
	memcpy(id, page + place, sizeof id);
	return hash_mix(hash_mix(id[0] ^ object->start) ^ id[1]) | 1;
}

/* False: nothing is known about what is there. */
static bool find_object(struct object *object, uintptr_t at) {
	struct dl_find_object found;
	if (at - object->start < object->size)
		return object->header != NULL;
	*object = (struct object){.size = 0};
	if (_dl_find_object == NULL || _dl_find_object((void *)at, &found) != 0)
		return false;
	object->start = (uintptr_t)found.dlfo_map_start;
	object->size = (uintptr_t)found.dlfo_map_end - object->start;
	const uint8_t *header = found.dlfo_eh_frame;
	if (header == NULL || header[0] != 1 || header[1] != PC_SDATA4 || header[2] != UDATA4 ||
	    header[3] != HDR_TABLE)
		return false;
	object->header = header;
	memcpy(&object->count, header + 8, sizeof object->count);
	object->identity = identify(object);
	return true;
}

/* Pairs: where a function begins, and its FDE; from the header on. */
static const int32_t *pair_at(const struct object *object, uint32_t place) {
	return (const int32_t *)(const void *)(object->header + 12) + 2 * (size_t)place;
}

static const uint8_t *fde_at(const struct object *object, uint32_t place) {
	return object->header + pair_at(object, place)[1];
}

/* The last function that begins at or before `at`; count: there is none. */
static uint32_t find_place(const struct object *object, uintptr_t at) {
	int64_t wanted = (int64_t)(at - (uintptr_t)object->header);
	uint32_t low = 0, high = object->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (pair_at(object, middle)[0] <= wanted)
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 ? object->count : low - 1;
}

/* Would it be found there? */
static bool is_place(const struct object *object, uint64_t place, uintptr_t at) {
	int64_t wanted = (int64_t)(at - (uintptr_t)object->header);
	return place < object->count && pair_at(object, (uint32_t)place)[0] <= wanted &&
	       (place + 1 == object->count || pair_at(object, (uint32_t)place + 1)[0] > wanted);
}

static uint64_t mix_bytes(uint64_t sum, struct cursor cursor) {
	while (cursor.at < cursor.end) {
		uint64_t word;
		size_t left = (size_t)(cursor.end - cursor.at);
		if (left >= sizeof word) { /* of one size, without a call */
			memcpy(&word, cursor.at, sizeof word);
			cursor.at += sizeof word;
		} else {
			word = take_bytes(&cursor, left);
		}
		sum ^= word;
		sum = (sum << 23 | sum >> 41) * 0x9e3779b97f4a7c15u;
	}
	return sum;
}

/* Of all that a rule follows from, but the address it is for. */
static uint64_t mix_description(struct object *object, const uint8_t *fde) {
	struct cursor cursor = record_at(fde);
	uint64_t sum = mix_bytes((uintptr_t)fde, (struct cursor){fde, cursor.end});
	if (cursor.at == cursor.end)
		return sum;
	const uint8_t *cie = cursor.at;
	cie -= take_signed4(&cursor);
	if (cie != object->cie) {
		object->mixed = mix_bytes(0, (struct cursor){cie, record_at(cie).end});
		object->cie = cie;
	}
	return sum ^ object->mixed;
}

/* -- rules ----------------------------------------------------------------------------------------------------- */

/*   63       32 31                2 1    0
 *   | rbp at    | offset            | kind |       rbp at: from the frame's end; 0: it is the same      */
enum { RULE_NONE, RULE_RSP, RULE_RBP, RULE_END, RULE_WRONG = RULE_END | 1 << 2 };

static uint64_t work_out(const uint8_t *fde, uintptr_t at) {
	struct machine machine;
	bool understood = read_fde(fde, at, &machine);
	const struct row *row = &machine.row;
	if (machine.wrong)
		return RULE_WRONG;
	if (understood && row->ra.how == KEPT_NOWHERE)
		return RULE_END;
	if (!understood || (row->base != RSP && row->base != RBP) || row->ra.how != KEPT_AT ||
	    row->ra.offset != -8 || (row->rbp.how != KEPT_SAME && row->rbp.how != KEPT_AT))
		return RULE_NONE;
	int64_t saved = row->rbp.how == KEPT_AT ? row->rbp.offset : -16;
	if (row->offset <= 0 || row->offset >= 1 << 29 || saved >= 0 || saved < INT32_MIN)
		return RULE_WRONG;
	uint64_t rbp = row->rbp.how == KEPT_AT ? (uint32_t)(int32_t)saved : 0;
	return rbp << 32 | (uint64_t)row->offset << 2 | (row->base == RSP ? RULE_RSP : RULE_RBP);
}

static struct rule {
	_Atomic(uint64_t) pc, rule, place, check; /* [atomic]; check = pc ^ rule ^ sum_of() */
} rules[ENTRIES];

/* Of what a rule for this place in the object's table follows from: the object, where it can be told, else the
 * description. */
static uint64_t sum_of(struct object *object, uint64_t place) {
	return object->identity != 0 ? object->identity
	                             : mix_description(object, fde_at(object, (uint32_t)place));
}

/* The rule for whoever called from just before `pc`. */
static uint64_t rule_of(struct object *object, uintptr_t pc) {
	struct rule *kept = &rules[(pc * 0x9e3779b97f4a7c15u) >> 51 & (ENTRIES - 1)];
	uintptr_t at = pc - 1;
	if (!find_object(object, at))
		return RULE_NONE;
	if (load_relaxed(&kept->pc) == pc) {
		uint64_t rule = load_relaxed(&kept->rule), place = load_relaxed(&kept->place);
		if ((object->identity != 0 || is_place(object, place, at)) &&
		    load_relaxed(&kept->check) == (pc ^ rule ^ sum_of(object, place)))
			return rule;
	}
	uint32_t place = find_place(object, at);
	if (place == object->count)
		return RULE_NONE;
	const uint8_t *fde = fde_at(object, place);
	uint64_t rule = work_out(fde, at);
	if (rule == RULE_NONE)
		return rule;
	store_relaxed(&kept->pc, pc);
	store_relaxed(&kept->rule, rule);
	store_relaxed(&kept->place, place);
	store_relaxed(&kept->check, pc ^ rule ^ sum_of(object, place));
	return rule;
}

static uintptr_t word_at(uintptr_t at) {
	uintptr_t word;
	memcpy(&word, (const void *)at, sizeof word);
	return word;
}

/* -- the walk -------------------------------------------------------------------------------------------------- */

struct spot {
	uintptr_t pc, sp, fp;
	uintptr_t fp_at; /* where that was kept; 0: it is still the register */
};

static void note_fp(struct path *path, const struct spot *spot) {
	if (spot->fp_at == 0)
		path->by_fp = true;
	else
		path_add(path, spot->fp_at, spot->fp);
}

/* Does the frame [lowest, end) lie on another stack? What can be read is known anew there. */
static bool is_elsewhere(uintptr_t lowest, uintptr_t end, struct extent *seen) {
	struct extent other = {round_down(lowest, PAGE), round_down(lowest, PAGE)};
	if (end - lowest > STEP_MAX || !stack_is_readable(end - 1, &other))
		return false;
	*seen = other;
	return true;
}

/* On to the caller. False: that is not where the rule leads. */
__attribute__((no_sanitize("address"))) static bool climb(struct spot *spot, uint64_t rule,
                                                          struct extent *seen, struct path *path) {
	bool by_fp = (rule & 3) == RULE_RBP;
	uintptr_t end = (by_fp ? spot->fp : spot->sp) + (rule >> 2 & 0x3fffffff), step = end - spot->sp;
	uintptr_t saved = end + (uintptr_t)(int32_t)(rule >> 32), lowest = size_min(saved, end - sizeof end);
	if (end % sizeof end != 0)
		return false;
	bool above = step >= sizeof end && step <= STEP_MAX && lowest >= spot->sp &&
	             (end <= seen->end || stack_is_readable(end - 1, seen));
	if (!above && (!by_fp || !is_elsewhere(lowest, end, seen)))
		return false;
	if (by_fp)
		note_fp(path, spot);
	if (saved != end)
		spot->fp = word_at(spot->fp_at = saved);
	spot->pc = word_at(end - sizeof end);
	spot->sp = end;
	path_add(path, end - sizeof end, spot->pc);
	return true;
}

static void begin_path(struct path *path, const struct spot *spot) {
	path->sp = spot->sp;
	path->fp = spot->fp;
	path->by_fp = false;
	path->words = 0;
}

unsigned walk_read(void **frames, unsigned most, struct extent *known, struct trace *trace,
                   const struct prof_thread *thread) {
	struct object object = {.size = 0};
	struct spot spot = {.fp_at = 0};
	struct extent seen = *known;
	unsigned used = 0;
	__asm__ volatile("lea 0(%%rip), %0\n\tmov %%rsp, %1\n\tmov %%rbp, %2"
	                 : "=r"(spot.pc), "=r"(spot.sp), "=r"(spot.fp));
	stack_begin(spot.sp, &seen);
	begin_path(&trace->path, &spot);
	trace->cut = false;
	trace->site = thread == NULL ? NULL : path_find(thread, &trace->path, &seen);
	if (trace->site != NULL)
		return 0;
	while (used < most) {
		uint64_t rule = rule_of(&object, spot.pc);
		unsigned kind = rule & 3;
		if (kind == RULE_NONE)
			return 0;
		trace->cut =
			rule == RULE_WRONG || (kind != RULE_END && !climb(&spot, rule, &seen, &trace->path));
		if (kind == RULE_END || trace->cut || spot.pc == 0)
			break;
		frames[used++] = (void *)spot.pc;
	}
	bool here = trace->path.sp - seen.start < seen.end - seen.start;
	if (here)
		*known = seen;
	if (!here || trace->cut)
		trace->path.words = 0;
	return used;
}

#else

unsigned walk_read(void **frames, unsigned most, struct extent *known, struct trace *trace,
                   const struct prof_thread *thread) {
	(void)trace;
	(void)thread;
	(void)frames;
	(void)most;
	(void)known;
	return 0;
}

#endif
