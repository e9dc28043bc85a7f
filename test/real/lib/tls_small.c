/* A module that needs 8 bytes of the static TLS block. */
__attribute__((tls_model("initial-exec"))) _Thread_local volatile long tls_small;

long tls_small_touch(void);

long tls_small_touch(void) {
	return tls_small++;
}
