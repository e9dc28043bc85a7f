/* elf_file.c - what libdw says about an address. */
#include "elf_file.h"

#include <dwarf.h>
#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_DEPTH 64
#define PAGE_MASK  0xfffu

/* -- the file -------------------------------------------------------------------------------------------- */

static void note_build_id(struct elf *elf, Elf *file) {
	const void *id;
	ssize_t length = dwelf_elf_gnu_build_id(file, &id);
	for (ssize_t i = 0; i < length && (size_t)i * 2 + 3 <= sizeof elf->build_id; i++)
		snprintf(elf->build_id + i * 2, 3, "%02x", ((const unsigned char *)id)[i]);
}

/* A file that was split off a program has its segments' addresses, and nothing in them. */
static bool has_code(Elf *file) {
	size_t names;
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	if (elf_getshdrstrndx(file, &names) != 0)
		return true;
	while ((section = elf_nextscn(file, section)) != NULL) {
		const char *name;
		if (gelf_getshdr(section, &header) == NULL)
			continue;
		name = elf_strptr(file, names, header.sh_name);
		if (name != NULL && strcmp(name, ".text") == 0)
			return header.sh_type != SHT_NOBITS;
	}
	return true;
}

/* A profile may name anything; devices and pipes are not waited for. */
static int open_regular(const char *path) {
	struct stat status;
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file >= 0 && (fstat(file, &status) != 0 || !S_ISREG(status.st_mode))) {
		close(file);
		return -1;
	}
	return file;
}

bool elf_open(struct elf *elf, const char *path, char *debug_path) {
	/* The library keeps both addresses. */
	static char *kept_path;
	static const Dwfl_Callbacks callbacks = {
		.find_elf = dwfl_build_id_find_elf,
		.find_debuginfo = dwfl_standard_find_debuginfo,
		.section_address = dwfl_offline_section_address,
		.debuginfo_path = &kept_path,
	};
	*elf = (struct elf){0};
	kept_path = debug_path;
	int file = open_regular(path);
	if (file < 0)
		return false;
	elf->dwfl = dwfl_begin(&callbacks);
	if (elf->dwfl != NULL)
		elf->module = dwfl_report_elf(elf->dwfl, path, path, file, 0, true);
	if (elf->module == NULL) {
		close(file);
		dwfl_end(elf->dwfl);
		return false;
	}
	dwfl_report_end(elf->dwfl, NULL, NULL);
	GElf_Addr bias;
	Elf *main_file = dwfl_module_getelf(elf->module, &bias);
	if (main_file != NULL) {
		note_build_id(elf, main_file);
		elf->only_debug = !has_code(main_file);
	}
	return true;
}

void elf_close(struct elf *elf) {
	for (size_t i = 0; i < elf->unit_count; i++)
		free(elf->units[i].functions);
	free(elf->units);
	free(elf->ranges);
	dwfl_end(elf->dwfl);
}

uint64_t elf_address(const struct elf *elf, const struct mapping *mapping, uint64_t address) {
	GElf_Addr bias;
	GElf_Phdr segment;
	size_t count;
	Elf *file = dwfl_module_getelf(elf->module, &bias);
	uint64_t offset = address - mapping->start + mapping->offset, guess = 0;
	if (file == NULL || elf_getphdrnum(file, &count) != 0)
		return 0;
	for (size_t i = 0; i < count; i++) {
		if (gelf_getphdr(file, (int)i, &segment) == NULL || segment.p_type != PT_LOAD)
			continue;
		uint64_t from = segment.p_offset & ~(uint64_t)PAGE_MASK;
		uint64_t first = segment.p_vaddr & ~(uint64_t)PAGE_MASK;
		if (!elf->only_debug && offset >= from && offset < segment.p_offset + segment.p_filesz)
			return offset - segment.p_offset + segment.p_vaddr;
		if ((segment.p_flags & PF_X) != 0 && guess == 0)
			guess = address - mapping->start + first;
	}
	return guess;
}

/* -- debug information ----------------------------------------------------------------------------------- */

static int by_low(const void *left, const void *right) {
	const struct code_unit *a = left, *b = right;
	return (a->low > b->low) - (a->low < b->low);
}

/* With -gsplit-dwarf the functions are elsewhere. */
static Dwarf_Die whole_unit(const Dwarf_Die *die) {
	Dwarf_Die split;
	uint8_t type = 0;
	if (dwarf_cu_info(die->cu, NULL, &type, NULL, &split, NULL, NULL, NULL) == 0 &&
	    type == DW_UT_skeleton && split.addr != NULL)
		return split;
	return *die;
}

/* The units with the addresses they have code at; libdw's own search wants a table that clang does not write. */
static void find_units(struct elf *elf) {
	Dwarf_Die *die = NULL;
	Dwarf_Addr bias, base, low, high;
	while ((die = dwfl_module_nextcu(elf->module, die, &bias)) != NULL) {
		elf->bias = bias;
		GROW(elf->units, elf->unit_count, elf->unit_room);
		elf->units[elf->unit_count] = (struct unit){.lines = *die, .die = whole_unit(die)};
		for (ptrdiff_t at = 0; (at = dwarf_ranges(die, at, &base, &low, &high)) > 0;) {
			GROW(elf->ranges, elf->range_count, elf->range_room);
			elf->ranges[elf->range_count++] =
				(struct code_unit){low, high, (uint32_t)elf->unit_count};
		}
		elf->unit_count++;
	}
	if (elf->range_count > 0)
		qsort(elf->ranges, elf->range_count, sizeof *elf->ranges, by_low);
}

static struct unit *unit_at(struct elf *elf, Dwarf_Addr address) {
	size_t low = 0, high = elf->range_count;
	if (elf->units == NULL)
		find_units(elf), high = elf->range_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (elf->ranges[middle].low <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || elf->ranges[low - 1].high <= address)
		return NULL;
	return &elf->units[elf->ranges[low - 1].unit];
}

static void add_function(struct unit *unit, Dwarf_Die *die) {
	Dwarf_Addr base, low, high;
	for (ptrdiff_t at = 0; (at = dwarf_ranges(die, at, &base, &low, &high)) > 0;) {
		GROW(unit->functions, unit->function_count, unit->function_room);
		unit->functions[unit->function_count++] = (struct code){low, high, *die};
	}
}

/* All functions below a DIE: in namespaces, classes, and other functions. */
static void find_functions(struct unit *unit, Dwarf_Die *parent, int depth) {
	Dwarf_Die child;
	if (depth == MOST_DEPTH || dwarf_child(parent, &child) != 0)
		return;
	do {
		switch (dwarf_tag(&child)) {
		case DW_TAG_subprogram:
			add_function(unit, &child);
			find_functions(unit, &child, depth + 1);
			break;
		case DW_TAG_namespace:
		case DW_TAG_module:
		case DW_TAG_class_type:
		case DW_TAG_structure_type:
		case DW_TAG_union_type:
		case DW_TAG_enumeration_type:
		case DW_TAG_lexical_block:
			find_functions(unit, &child, depth + 1);
			break;
		default:
			break;
		}
	} while (dwarf_siblingof(&child, &child) == 0);
}

static Dwarf_Die *function_at(struct unit *unit, Dwarf_Addr address) {
	struct code *best = NULL;
	if (!unit->searched)
		find_functions(unit, &unit->die, 0);
	unit->searched = true;
	for (size_t i = 0; i < unit->function_count; i++) {
		struct code *code = &unit->functions[i];
		if (code->low <= address && address < code->high &&
		    (best == NULL || code->high - code->low < best->high - best->low))
			best = code;
	}
	return best != NULL ? &best->die : NULL;
}

/* -- the functions at an address ------------------------------------------------------------------------- */

/* From the outermost function into the calls that were inlined at the address. */
static size_t find_chain(Dwarf_Die *function, Dwarf_Addr address, Dwarf_Die chain[MOST_LINES]) {
	size_t count = 1;
	Dwarf_Die at = *function, child;
	chain[0] = *function;
	for (int depth = 0; depth < MOST_DEPTH && count < MOST_LINES; depth++) {
		bool inside = false;
		if (dwarf_child(&at, &child) != 0)
			return count;
		do {
			int tag = dwarf_tag(&child);
			inside = (tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block) &&
			         dwarf_haspc(&child, address) > 0;
		} while (!inside && dwarf_siblingof(&child, &child) == 0);
		if (!inside)
			return count;
		at = child;
		if (dwarf_tag(&child) == DW_TAG_inlined_subroutine)
			chain[count++] = child;
	}
	return count;
}

static const char *function_name(Dwarf_Die *die) {
	Dwarf_Attribute attribute;
	const char *name = NULL;
	if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute) != NULL ||
	    dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute) != NULL)
		name = dwarf_formstring(&attribute);
	return name != NULL ? name : dwarf_diename(die);
}

static Dwarf_Word number_of(Dwarf_Die *die, unsigned name) {
	Dwarf_Attribute attribute;
	Dwarf_Word number = 0;
	if (dwarf_attr_integrate(die, name, &attribute) == NULL || dwarf_formudata(&attribute, &number) != 0)
		return 0;
	return number;
}

/* Where an inlined function was called. */
static void set_call_site(Dwarf_Die *unit, Dwarf_Die *inlined, struct place *place) {
	Dwarf_Files *files;
	size_t count, file = (size_t)number_of(inlined, DW_AT_call_file);
	place->line = (int64_t)number_of(inlined, DW_AT_call_line);
	if (dwarf_getsrcfiles(unit, &files, &count) == 0 && file < count)
		place->file = dwarf_filesrc(files, file, NULL, NULL);
}

static void set_line(Dwarf_Die *unit, Dwarf_Addr address, struct place *place) {
	Dwarf_Line *line = dwarf_getsrc_die(unit, address);
	int number = 0;
	if (line == NULL || dwarf_lineno(line, &number) != 0)
		return;
	place->line = number;
	place->file = dwarf_linesrc(line, NULL, NULL);
}

static size_t find_in_unit(struct unit *unit, Dwarf_Addr address, struct place places[MOST_LINES]) {
	Dwarf_Die chain[MOST_LINES];
	Dwarf_Die *function = function_at(unit, address);
	if (function == NULL)
		return 0;
	size_t count = find_chain(function, address, chain);
	for (size_t i = 0; i < count; i++) {
		Dwarf_Die *die = &chain[count - 1 - i];
		struct place *place = &places[i];
		*place = (struct place){.function = function_name(die),
		                        .start_line = (int64_t)number_of(die, DW_AT_decl_line)};
		if (i == 0)
			set_line(&unit->lines, address, place);
		else
			set_call_site(&unit->die, &chain[count - i], place);
	}
	return places[0].function != NULL ? count : 0;
}

size_t elf_find(struct elf *elf, uint64_t address, struct place places[MOST_LINES]) {
	struct unit *unit = unit_at(elf, address - elf->bias);
	size_t count = unit != NULL ? find_in_unit(unit, address - elf->bias, places) : 0;
	if (count > 0)
		return count;
	GElf_Off offset;
	GElf_Sym symbol;
	const char *name = dwfl_module_addrinfo(elf->module, address, &offset, &symbol, NULL, NULL, NULL);
	places[0] = (struct place){.function = name};
	if (unit != NULL)
		set_line(&unit->lines, address - elf->bias, &places[0]);
	return name != NULL;
}
