// ctest-link: ashlar_profile
/* The reader of heap_v2 text. Bytes from 0x80 on stand for words of the format. */
#include "profiles.h"

#define FIRST_TOKEN 0x80
static const char *const words[] = {"heap_v2/524288\n",
                                    "heap_v2/",
                                    "  t*: 4: 3670016 [5: 3800000]\n",
                                    "  t3: 1: 10 [0: 0]",
                                    " worker\n",
                                    "@ 0x400111 0x400222 0x700000000001\n",
                                    "@",
                                    " 0x400333",
                                    "\nMAPPED_LIBRARIES:\n",
                                    "00400000-00500000 r-xp 00000000 08:01 42   /bin/x\n",
                                    "700000000000-700000001000 r-xp 00000000 00:00 0 [vdso]\n",
                                    "heap profile: 1: 2 [3: 4] @ heap_v2/4096\n",
                                    " 1: 2 [3: 4] @ 0x1 0x2\n",
                                    "18446744073709551615",
                                    ": ",
                                    " [",
                                    "]\n",
                                    "t*",
                                    "\n"};
#define WORDS (sizeof words / sizeof *words)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct profile profile;
	struct bytes text = {0};
	struct failure failure = {""};
	for (size_t i = 0; i < size; i++) {
		if (data[i] >= FIRST_TOKEN && (size_t)(data[i] - FIRST_TOKEN) < WORDS)
			bytes_add(&text, words[data[i] - FIRST_TOKEN], strlen(words[data[i] - FIRST_TOKEN]));
		else
			bytes_add(&text, &data[i], 1);
	}
	char *exact = zeroed(text.length, 1); /* so that a read behind it is seen */
	if (text.length > 0)
		memcpy(exact, text.data, text.length);
	free(text.data);
	profile_start(&profile);
	profile.per_thread = size > 0 && (data[0] & 1) != 0;
	if (read_heap(&profile, exact, text.length, &failure))
		use_profile(&profile);
	else
		check_failure(&failure);
	profile_free(&profile);
	free(exact);
	return 0;
}
