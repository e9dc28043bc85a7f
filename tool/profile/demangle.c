/* demangle.c - C++ and Rust names as they are in the source. The C++ runtime demangles if it is there; the command does
 * not depend on it. */
#include "symbolize.h"

#include <ctype.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

typedef char *demangle_function(const char *symbol, char *buffer, size_t *length, int *status);

static demangle_function *find_demangler(void) {
	static demangle_function *found;
	static bool searched;
	if (!searched) {
		void *library = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);
		void *symbol = library != NULL ? dlsym(library, "__cxa_demangle") : NULL;
		memcpy(&found, &symbol, sizeof found);
		searched = true;
	}
	return found;
}

/* Rust's older names end in ::h and 16 digits. */
static void cut_hash(char *name) {
	size_t length = strlen(name);
	if (length < 19 || strncmp(name + length - 19, "::h", 3) != 0)
		return;
	for (const char *at = name + length - 16; *at != 0; at++) {
		if (!isxdigit((unsigned char)*at))
			return;
	}
	name[length - 19] = 0;
}

/* Cuts at the parenthesis that opens the parameters: outside of template arguments, and neither that of operator()
 * nor of (anonymous namespace) or a lambda's. */
static void cut_parameters(char *name) {
	static const char operator_word[] = "operator", space_word[] = "(anonymous namespace)";
	int depth = 0;
	for (char *at = name; *at != 0; at++) {
		if (strncmp(at, operator_word, sizeof operator_word - 1) == 0) {
			at += sizeof operator_word - 1;
			at += strspn(at, " ");
			at += strncmp(at, "()", 2) == 0 ? 2 : strspn(at, "<>-=!");
			if (*at == 0)
				return;
		}
		if (strncmp(at, space_word, sizeof space_word - 1) == 0) {
			at += sizeof space_word - 2;
			continue;
		}
		depth += (*at == '<' || *at == '{') - (*at == '>' || *at == '}');
		if (*at == '(' && depth <= 0 && at > name) {
			*at = 0;
			return;
		}
	}
}

char *readable_name(const char *symbol) {
	demangle_function *demangle = find_demangler();
	int status = -1;
	char *name = NULL;
	if (demangle != NULL && symbol[0] == '_' && symbol[1] == 'Z')
		name = demangle(symbol, NULL, NULL, &status);
	if (name == NULL || status != 0)
		return strdup(symbol);
	cut_parameters(name);
	cut_hash(name);
	return name;
}
