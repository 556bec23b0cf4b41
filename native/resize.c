/* Resizes and crops an RGB picture along both axes with given integer weights, for processors with
 * AVX2 and better ones, and turns it into planes of numbers if asked to.
 *
 * Weights are in units of 2^-22, as those of Pillow. After each axis the sum is rounded to a whole
 * level and clipped to 0..255. All sums are exact, so their order changes nothing.
 */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FRACTION_BITS 22
/* Levels are weighed with products of 16 bits, so a weight is cut into two parts. */
#define LOW_BITS 11
/* Pixels that one step along a row takes, and bytes it reads, which are a few more. */
#define GROUP 4
#define READ_BYTES 16
/* Rows that share one reading of the weights. */
#define BLOCK 4
/* Bytes of a row that are weighed together. */
#define ROW_STEP 16
/* Parts of a picture, which threads take one after the other. */
#define BANDS 8

/* Which pixels make up those of the result, and with which weights.
 *
 * column_first: first source column of each of the `width` resized columns.
 * column_weights: per resized column and group of GROUP source columns their high, then their low
 *     parts.
 * row_first: first source row of each of the `height` resized rows; never decreases.
 * row_weights: per resized row and two of its `row_taps` source rows their high, then their low
 *     parts; 0 for a row too much.
 */
typedef struct {
  int32_t source_width, source_height;
  int32_t width, height;
  int32_t groups, row_taps;
  const int32_t *column_first;
  const int16_t *column_weights;
  const int32_t *row_first;
  const int16_t *row_weights;
} Plan;

/* How the levels of a picture become numbers in three planes: a number is a level less the mean,
 * then times the scale.
 *
 * channels: which channel of a pixel each plane shows.
 */
typedef struct {
  float means[3], scales[3];
  int32_t channels[3];
} Look;

/* Instructions to use: those of AVX2, or also the VNNI ones of AVX-512 for vectors of 32 bytes. */
enum { NONE, AVX2_ONLY, VNNI };

/* A picture in work, which any number of threads may work on. Counters begin with 0.
 *
 * instructions: no better than `best_instructions`.
 * source: `source_height` rows of `source_width` RGB pixels, `step` bytes apart (at least a row).
 * levels: `height` rows of `width` RGB pixels without gaps; may be null.
 * look, planes: three planes of `height` times `width` numbers, written if `levels` is null.
 * bands_taken: bands that a thread has begun with, or more when none is left.
 * lacks_memory: not 0 if a thread had no memory, so that rows are missing.
 */
typedef struct {
  const Plan *plan;
  int32_t instructions;
  const uint8_t *source;
  ptrdiff_t step;
  uint8_t *levels;
  const Look *look;
  float *planes;
  atomic_int bands_taken, lacks_memory;
} Job;

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline))

/* Put two parts of sums together, round them, leave whole levels. */
AVX2 static inline __m256i whole(__m256i high, __m256i low) {
  const __m256i half = _mm256_set1_epi32(1 << (FRACTION_BITS - 1));
  const __m256i sums = _mm256_add_epi32(_mm256_slli_epi32(high, LOW_BITS), low);
  return _mm256_srai_epi32(_mm256_add_epi32(sums, half), FRACTION_BITS);
}

/* Add the two halves of sums of two rows; a half of the result is a row. */
AVX2 static inline __m256i halves_added(__m256i first, __m256i second) {
  return _mm256_add_epi32(_mm256_permute2x128_si256(first, second, 0x20),
                          _mm256_permute2x128_si256(first, second, 0x31));
}

/* Add a product of levels and weights, each two by two, to sums. */
AVX2 INLINE __m256i weighed(__m256i sums, __m256i levels, __m256i weights, int instructions) {
  if (instructions < VNNI) return _mm256_add_epi32(sums, _mm256_madd_epi16(levels, weights));
  /* Functions for several sets of instructions cannot share code but by this. */
  __asm__("vpdpwssd %2, %1, %0" : "+x"(sums) : "x"(levels), "x"(weights));
  return sums;
}

/* Do what `resize_columns` does, `groups` being those of the plan. */
AVX2 INLINE void weigh_columns(const Plan *plan, int32_t groups, int instructions,
                               const uint8_t *source, ptrdiff_t step, uint8_t *const rows[BLOCK]) {
  /* Levels of one channel side by side, widened to 16 bits: pixels 0 and 1, then 2 and 3. */
  const __m256i pairs =
      _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, /* first half */
                       6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  /* The same two weights for all channels. */
  const __m256i high_parts = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
  const __m256i low_parts = _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3);
  const __m128i *weights = (const __m128i *)plan->column_weights;
  uint8_t *first = rows[0], *second = rows[1], *third = rows[2], *fourth = rows[3];
  for (int32_t x = 0; x < plan->width; x++) {
    const uint8_t *from = source + 3 * (ptrdiff_t)plan->column_first[x];
    __m256i high[BLOCK], low[BLOCK];
    for (int i = 0; i < BLOCK; i++) high[i] = low[i] = _mm256_setzero_si256();
    for (int32_t group = 0; group < groups; group++, weights++, from += 3 * GROUP) {
      const __m256i both = _mm256_castsi128_si256(_mm_loadu_si128(weights));
      const __m256i high_weights = _mm256_permutevar8x32_epi32(both, high_parts);
      const __m256i low_weights = _mm256_permutevar8x32_epi32(both, low_parts);
      for (int i = 0; i < BLOCK; i++) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(from + i * step));
        const __m256i levels = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), pairs);
        high[i] = weighed(high[i], levels, high_weights, instructions);
        low[i] = weighed(low[i], levels, low_weights, instructions);
      }
    }
    const __m256i upper = whole(halves_added(high[0], high[1]), halves_added(low[0], low[1]));
    const __m256i lower = whole(halves_added(high[2], high[3]), halves_added(low[2], low[3]));
    const __m256i words = _mm256_packus_epi32(upper, lower);
    const __m256i bytes = _mm256_packus_epi16(words, words);
    const __m128i odd = _mm256_extracti128_si256(bytes, 1), even = _mm256_castsi256_si128(bytes);
    /* A byte too much each, which the next pixel covers. */
    _mm_storeu_si32(first + 3 * (ptrdiff_t)x, even);
    _mm_storeu_si32(second + 3 * (ptrdiff_t)x, odd);
    _mm_storeu_si32(third + 3 * (ptrdiff_t)x, _mm_srli_si128(even, 4));
    _mm_storeu_si32(fourth + 3 * (ptrdiff_t)x, _mm_srli_si128(odd, 4));
  }
}

/* Resize BLOCK rows, `step` bytes apart, along the row; reads some bytes behind each of them and
 * writes one. */
AVX2 INLINE void resize_columns(const Plan *plan, int instructions, const uint8_t *source,
                                ptrdiff_t step, uint8_t *const rows[BLOCK]) {
  /* Compilers make much quicker code of loops whose length they know. */
  switch (plan->groups) {
    case 1: return weigh_columns(plan, 1, instructions, source, step, rows);
    case 2: return weigh_columns(plan, 2, instructions, source, step, rows);
    case 3: return weigh_columns(plan, 3, instructions, source, step, rows);
    case 4: return weigh_columns(plan, 4, instructions, source, step, rows);
    default: return weigh_columns(plan, plan->groups, instructions, source, step, rows);
  }
}

/* Weigh rows and add them up, round and clip.
 *
 * rows: two times `pairs`.
 * weights: of two rows their high, then their low parts.
 * count: a multiple of ROW_STEP.
 */
AVX2 INLINE void resize_rows(const uint8_t *const *rows, const int16_t *weights, int32_t pairs,
                             int instructions, ptrdiff_t count, uint8_t *out) {
  for (ptrdiff_t at = 0; at < count; at += ROW_STEP) {
    __m256i left_high = _mm256_setzero_si256(), left_low = left_high;
    __m256i right_high = left_high, right_low = left_high;
    for (int32_t pair = 0; pair < pairs; pair++) {
      const __m128i upper = _mm_load_si128((const __m128i *)(rows[2 * pair] + at));
      const __m128i lower = _mm_load_si128((const __m128i *)(rows[2 * pair + 1] + at));
      const __m128i both = _mm_loadu_si64(weights + 4 * pair);
      const __m256i high = _mm256_broadcastd_epi32(both);
      const __m256i low = _mm256_broadcastd_epi32(_mm_srli_si128(both, 4));
      const __m256i left = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(upper, lower));
      const __m256i right = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(upper, lower));
      left_high = weighed(left_high, left, high, instructions);
      left_low = weighed(left_low, left, low, instructions);
      right_high = weighed(right_high, right, high, instructions);
      right_low = weighed(right_low, right, low, instructions);
    }
    /* Packing works within halves: left and right come out interleaved in quarters. */
    const __m256i packed =
        _mm256_packs_epi32(whole(left_high, left_low), whole(right_high, right_low));
    const __m256i levels = _mm256_permute4x64_epi64(packed, 0xd8);
    _mm_store_si128((__m128i *)(out + at), _mm_packus_epi16(_mm256_castsi256_si128(levels),
                                                            _mm256_extracti128_si256(levels, 1)));
  }
}

/* Turn eight levels into numbers; rounds as one operation after the other. */
AVX2 static inline void store_numbers(__m128i levels, float mean, float scale, float *out) {
  const __m256 numbers = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(levels));
  const __m256 shifted = _mm256_sub_ps(numbers, _mm256_set1_ps(mean));
  _mm256_storeu_ps(out, _mm256_mul_ps(shifted, _mm256_set1_ps(scale)));
}

/* Normalise `count` RGB pixels and write them in planes that are `plane_step` numbers apart. */
AVX2 void normalise(const uint8_t *pixels, ptrdiff_t count, const Look *look, ptrdiff_t plane_step,
                    float *planes) {
  /* The first five of eight levels lie in the bytes from the first on, the others in those that end
   * with the last. */
  const __m128i left = _mm_setr_epi8(0, 3, 6, 9, 12, -1, -1, -1, /* no more than eight */
                                     -1, -1, -1, -1, -1, -1, -1, -1);
  const __m128i right = _mm_setr_epi8(-1, -1, -1, -1, -1, 9, 12, 15, /* likewise */
                                      -1, -1, -1, -1, -1, -1, -1, -1);
  for (int plane = 0; plane < 3; plane++, planes += plane_step) {
    const uint8_t *levels = pixels + look->channels[plane];
    const float mean = look->means[plane], scale = look->scales[plane];
    ptrdiff_t i = 0;
    for (; i + 8 <= count; i += 8) {
      const uint8_t *from = levels + 3 * i;
      const __m128i first = _mm_loadu_si128((const __m128i *)from);
      const __m128i last = _mm_loadu_si128((const __m128i *)(from + 6));
      store_numbers(_mm_or_si128(_mm_shuffle_epi8(first, left), _mm_shuffle_epi8(last, right)),
                    mean, scale, planes + i);
    }
    for (; i < count; i++) planes[i] = ((float)levels[3 * i] - mean) * scale;
  }
}

/* What a thread works with: a ring of rows that are resized along the row, the last of them before
 * row `done` of the source, room for one finished row, and a copy of the last rows with room behind
 * them. */
typedef struct {
  ptrdiff_t row_bytes, padded_bytes, source_bytes, behind_bytes;
  int32_t ring_rows, done;
  uint8_t *ring, *finished, *tail;
  const uint8_t **taps;
} Room;

static int make_room(const Plan *plan, Room *room) {
  room->row_bytes = 3 * (ptrdiff_t)plan->width;
  room->padded_bytes = (room->row_bytes + ROW_STEP) / ROW_STEP * ROW_STEP;
  room->source_bytes = 3 * (ptrdiff_t)plan->source_width;
  room->behind_bytes = 3 * GROUP * (ptrdiff_t)plan->groups + READ_BYTES;
  room->ring_rows = plan->row_taps + BLOCK;
  room->done = 0;
  room->ring = calloc((size_t)room->ring_rows, (size_t)room->padded_bytes);
  room->finished = malloc((size_t)room->padded_bytes);
  room->tail = calloc(BLOCK, (size_t)(room->source_bytes + room->behind_bytes));
  room->taps = malloc(sizeof(uint8_t *) * (size_t)(plan->row_taps + 1));
  return room->ring && room->finished && room->tail && room->taps;
}

static void free_room(Room *room) {
  free(room->ring);
  free(room->finished);
  free(room->tail);
  free(room->taps);
}

/* Resize the next BLOCK rows along the row into the ring. */
AVX2 INLINE void fill_ring(const Job *job, Room *room, int instructions) {
  const Plan *plan = job->plan;
  const uint8_t *source = job->source;
  ptrdiff_t step = job->step;
  uint8_t *rows[BLOCK];
  for (int i = 0; i < BLOCK; i++)
    rows[i] = room->ring + (room->done + i) % room->ring_rows * room->padded_bytes;
  /* What is read behind a row is the row below, but for the last rows, which are copied first. */
  const int32_t left = plan->source_height - room->done;
  const uint8_t *from = source + room->done * step;
  if (left <= BLOCK || (left - BLOCK) * step < room->behind_bytes) {
    const ptrdiff_t tail_step = room->source_bytes + room->behind_bytes;
    for (int i = 0; i < BLOCK && i < left; i++)
      memcpy(room->tail + i * tail_step, from + i * step, (size_t)room->source_bytes);
    from = room->tail;
    step = tail_step;
  }
  resize_columns(plan, instructions, from, step, rows);
  room->done += BLOCK;
}

/* Return the best instructions that this processor has. */
int best_instructions(void) {
  if (!__builtin_cpu_supports("avx2")) return NONE;
  const int has_vnni = __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vl");
  return has_vnni ? VNNI : AVX2_ONLY;
}

/* Finish row `y` of the result, which lies behind those that this thread finished before. */
AVX2 INLINE void finish_row(const Job *job, Room *room, int instructions, int32_t y) {
  const Plan *plan = job->plan;
  const int32_t first = plan->row_first[y];
  /* Rows of bands that other threads took are passed over. */
  if (room->done < first) room->done = first;
  while (room->done < first + plan->row_taps) fill_ring(job, room, instructions);
  for (int32_t tap = 0; tap < plan->row_taps; tap++)
    room->taps[tap] = room->ring + (first + tap) % room->ring_rows * room->padded_bytes;
  /* Whatever an odd last row is paired with weighs nothing. */
  room->taps[plan->row_taps] = room->taps[0];
  const int32_t pairs = (plan->row_taps + 1) / 2;
  resize_rows(room->taps, plan->row_weights + 4 * (ptrdiff_t)y * pairs, pairs, instructions,
              room->padded_bytes, room->finished);
  if (job->levels)
    memcpy(job->levels + y * room->row_bytes, room->finished, (size_t)room->row_bytes);
  else
    normalise(room->finished, plan->width, job->look, (ptrdiff_t)plan->height * plan->width,
              job->planes + (ptrdiff_t)y * plan->width);
}

AVX2 INLINE void finish_bands(Job *job, Room *room, int instructions) {
  const int32_t height = job->plan->height;
  int32_t band;
  while ((band = job->bands_taken++) < BANDS)
    for (int32_t y = band * height / BANDS; y < (band + 1) * height / BANDS; y++)
      finish_row(job, room, instructions, y);
}

AVX2 static void finish_bands_by_avx2(Job *job, Room *room) { finish_bands(job, room, AVX2_ONLY); }

AVX2 static void finish_bands_by_vnni(Job *job, Room *room) { finish_bands(job, room, VNNI); }

/* Work on bands of a picture until all are taken; others may still be in work elsewhere then. */
void take_bands(Job *job) {
  Room room;
  if (!make_room(job->plan, &room))
    job->lacks_memory = 1;
  else if (job->instructions == VNNI)
    finish_bands_by_vnni(job, &room);
  else
    finish_bands_by_avx2(job, &room);
  free_room(&room);
}

#else

int best_instructions(void) { return NONE; }

void take_bands(Job *job) { job->lacks_memory = 1; }

void normalise(const uint8_t *pixels, ptrdiff_t count, const Look *look, ptrdiff_t plane_step,
               float *planes) {
  (void)pixels, (void)count, (void)look, (void)plane_step, (void)planes;
}

#endif
