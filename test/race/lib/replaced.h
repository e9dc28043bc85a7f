/* A function whose code and place are the same in two libraries, but for the size of its frame (FRAME, 8 more than a
 * multiple of 16), so that only the tables tell who called. */
#ifdef __x86_64__
#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
__asm__(".text\n"
        ".globl replaced_allocate\n"
        ".type replaced_allocate, @function\n"
        "replaced_allocate:\n"
        ".cfi_startproc\n"
        "	sub $" TEXT(
		FRAME) ", %rsp\n"
                       "	.cfi_adjust_cfa_offset " TEXT(
			       FRAME) "\n"
                                      "	mov %rdi, %rax\n"
                                      "	mov $48, %edi\n"
                                      "	call *%rax\n"
                                      "	add $" TEXT(FRAME) ", %rsp\n"
                                                           "	.cfi_adjust_cfa_offset -" TEXT(
								   FRAME) "\n"
                                                                          "	ret\n"
                                                                          ".cfi_endproc\n"
                                                                          ".size replaced_allocate, "
                                                                          ".-replaced_allocate\n"
                                                                          ".section "
                                                                          ".note.GNU-stack,\"\",@progbits\n"
                                                                          ".text\n");
#endif
