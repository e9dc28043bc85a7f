/* elf_file.h - one ELF file with its symbols and debug information. */
#ifndef PROFILE_ELF_FILE_H
#define PROFILE_ELF_FILE_H

#include "profile.h"

#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>

struct code {
	Dwarf_Addr low, high; /* the first behind it */
	Dwarf_Die die;
};

struct unit {
	Dwarf_Die lines;        /* the unit in the file itself */
	Dwarf_Die die;          /* the same, or in a .dwo file what the functions are in */
	struct code *functions; /* found when first asked for */
	size_t function_count, function_room;
	bool searched;
};

struct code_unit {
	Dwarf_Addr low, high;
	uint32_t unit;
};

struct elf {
	Dwfl *dwfl;
	Dwfl_Module *module;
	Dwarf_Addr bias; /* of addresses in the debug information */
	struct unit *units;
	struct code_unit *ranges; /* sorted */
	size_t unit_count, unit_room, range_count, range_room;
	char build_id[129]; /* in hex; "" when it has none */
	bool only_debug;    /* no code is in it, and its offsets are not the program's */
};

/* Opens a file, with the debug information that belongs to it. False when it is no ELF file or not there. */
bool elf_open(struct elf *elf, const char *path, char *debug_path);
void elf_close(struct elf *elf);

/* The file's address for one of a process, or 0. */
uint64_t elf_address(const struct elf *elf, const struct mapping *mapping, uint64_t address);

/* What is at a file's address: function by function, the innermost inlined one first. */
struct place {
	const char *function, *file; /* NULL when not known; good until elf_close */
	int64_t line, start_line;
};
size_t elf_find(struct elf *elf, uint64_t address, struct place places[MOST_LINES]);

#endif
