/* As many fused multiply-adds as registers allow: what this machine's arithmetic can do at most. */
#ifdef __AVX512F__
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
typedef float vec __attribute__((vector_size(BYTES)));

/* rounds x 12 chains; the result keeps the compiler from leaving the work out. */
float chains(long rounds) {
  vec a[12], x = {0}, y = {0};
  x += 0.999f;
  y += 0.001f;
  for (int i = 0; i < 12; ++i) a[i] = x * (float)i;
  for (long r = 0; r < rounds; ++r)
    for (int i = 0; i < 12; ++i) a[i] = a[i] * x + y;
  for (int i = 1; i < 12; ++i) a[0] += a[i];
  return a[0][0];
}

double flop(long rounds) { return 2.0 * 12 * (BYTES / 4) * (double)rounds; }
