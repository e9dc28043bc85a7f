/* A module that needs 64 bytes of the static TLS block. */
__attribute__((tls_model("initial-exec"))) _Thread_local volatile long tls_big[8];

long tls_big_touch(void);

long tls_big_touch(void) {
	return tls_big[7]++;
}
