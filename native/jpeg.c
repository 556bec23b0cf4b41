/* Whether the coded pixels of a sequential JPEG are whole (ITU-T T.81, annexes B and F).
 *
 * Decoders let damaged pixels pass as long as some codes can be read. Here every code must be known,
 * every block must keep to its 64 coefficients and its brightness to the range that a picture of 8
 * bits has, and the last code must end in the last byte. Nothing is decoded.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { WHOLE, UNCHECKED, DAMAGED };

/* Codes up to this length are found in one look. */
#define SHORT_BITS 11
#define LONGEST 16
#define COEFFICIENTS 64
#define END_OF_BLOCK COEFFICIENTS
#define MOST_PARTS 4
/* Of the brightness of a block, 8 times its mean, with room for encoders that round generously. */
#define MOST_BRIGHTNESS 1100
/* A reader takes so many bytes at once, the last time from the end on. */
#define SPARE 8

enum {
  FRAME = 0xC0,
  EXTENDED_FRAME = 0xC1,
  HUFFMAN_TABLES = 0xC4,
  RESTART = 0xD0,
  LAST_RESTART = 0xD7,
  SCAN = 0xDA,
  QUANTISATION = 0xDB,
  RESTART_INTERVAL = 0xDD
};

/* What follows a code.
 *
 * bits: of the code and the number behind it; 0 if there is no such code.
 * number_bits: of the number alone.
 * advance: coefficients to go on by.
 */
typedef struct {
  uint8_t bits, number_bits, advance;
} Step;

/* Codes of one table: `shorts` by their first bits, all by length and rank. */
typedef struct {
  Step shorts[1 << SHORT_BITS];
  Step steps[256];
  int32_t largest[LONGEST + 1], rank[LONGEST + 1];
  int is_known;
} Table;

/* One color component of the picture. */
typedef struct {
  int id, across, down, quantiser;
} Part;

/* Pixels without the zeros that follow bytes of ones; `bits` holds the next `count`, left-aligned. */
typedef struct {
  const uint8_t *at, *end;
  uint64_t bits;
  int count;
} Reader;

typedef struct {
  const uint8_t *end;
  Table *brightness, *detail; /* four of each */
  int quantisers[4];
  Part parts[MOST_PARTS];
  int num_parts, most_across, most_down, width, height, interval;
  uint8_t *plain;
} Picture;

static Step step_of(int value, int length, int is_detail) {
  int size = value & 15, run = value >> 4;
  Step none = {0, 0, 0}, found = {(uint8_t)(length + size), (uint8_t)size, (uint8_t)(run + 1)};
  if (!is_detail) return value > 11 ? none : found;
  if (size > 10 || (size == 0 && run > 0 && run < 15)) return none;
  if (value == 0) found.advance = END_OF_BLOCK;
  return found;
}

static int fill_table(Table *table, const uint8_t *counts, int is_detail) {
  const uint8_t *values = counts + LONGEST;
  int code = 0, index = 0;
  memset(table, 0, sizeof *table);
  for (int length = 1; length <= LONGEST; length++, code <<= 1) {
    table->rank[length] = index - code;
    table->largest[length] = -1;
    for (int left = counts[length - 1]; left > 0; left--, code++, index++) {
      if (code >> length) return 0;
      Step step = step_of(values[index], length, is_detail);
      table->steps[index] = step;
      table->largest[length] = code;
      for (int rest = 0; length <= SHORT_BITS && rest < 1 << (SHORT_BITS - length); rest++)
        table->shorts[code << (SHORT_BITS - length) | rest] = step;
    }
  }
  return table->is_known = 1;
}

/* Brings in what fits, unless all of it is in already. */
static void refill(Reader *reader) {
  uint64_t next = 0;
  if (reader->at > reader->end) return;
  for (int i = 0; i < 8; i++) next = next << 8 | reader->at[i];
  reader->bits |= next >> reader->count;
  reader->at += (63 - reader->count) >> 3;
  reader->count |= 56;
}

static Step next_step(const Reader *reader, const Table *table) {
  Step step = table->shorts[reader->bits >> (64 - SHORT_BITS)];
  for (int length = SHORT_BITS + 1; step.bits == 0 && length <= LONGEST; length++) {
    int32_t code = (int32_t)(reader->bits >> (64 - length));
    if (code <= table->largest[length]) return table->steps[(code + table->rank[length]) & 255];
  }
  return step;
}

/* Reads one block; brightness is told as the difference to the block before. */
static int read_block(Reader *reader, const Table *brightness, const Table *detail, int *level) {
  refill(reader);
  Step step = next_step(reader, brightness);
  if (step.bits == 0 || step.bits > reader->count) return 0;
  if (step.number_bits > 0) {
    int bits = step.number_bits;
    int number = (int)(reader->bits << (step.bits - bits) >> (64 - bits));
    *level += number >> (bits - 1) ? number : number - (1 << bits) + 1;
  }
  reader->bits <<= step.bits;
  reader->count -= step.bits;
  for (int place = 1; place < COEFFICIENTS; place += step.advance) {
    if (reader->count < LONGEST + 15) refill(reader);
    step = next_step(reader, detail);
    if (step.bits == 0 || step.bits > reader->count) return 0;
    if (step.advance != END_OF_BLOCK && place + step.advance > COEFFICIENTS) return 0;
    reader->bits <<= step.bits;
    reader->count -= step.bits;
  }
  return reader->at - (reader->count >> 3) <= reader->end;
}

/* Finds the next marker that ends pixels, or the end. */
static const uint8_t *end_of_pixels(const uint8_t *at, const uint8_t *end) {
  while (at + 1 < end && (at = memchr(at, 0xFF, (size_t)(end - at - 1))) != NULL) {
    if (at[1] != 0) return at;
    at += 2;
  }
  return end;
}

static Reader reader_of(uint8_t *plain, const uint8_t *at, const uint8_t *stop) {
  uint8_t *to = plain;
  while (at < stop) {
    const uint8_t *ones = memchr(at, 0xFF, (size_t)(stop - at));
    size_t length = (size_t)((ones ? ones + 1 : stop) - at);
    memcpy(to, at, length);
    to += length;
    at += length + (ones != NULL);
  }
  memset(to, 0, SPARE);
  Reader reader = {plain, to, 0, 0};
  return reader;
}

static int is_sound_run(const Picture *picture, Part *const *parts, const uint8_t *tables,
                        int count, int64_t units, Reader *reader) {
  int levels[MOST_PARTS] = {0};
  for (int64_t unit = 0; unit < units; unit++)
    for (int i = 0; i < count; i++) {
      int blocks = count == 1 ? 1 : parts[i]->across * parts[i]->down;
      int quantiser = picture->quantisers[parts[i]->quantiser];
      int most = MOST_BRIGHTNESS + 2 * quantiser;
      for (int block = 0; block < blocks; block++) {
        const Table *brightness = &picture->brightness[tables[2 * i + 1] >> 4 & 3];
        const Table *detail = &picture->detail[tables[2 * i + 1] & 3];
        if (!read_block(reader, brightness, detail, &levels[i])) return 0;
        int value = levels[i] * quantiser;
        if (value > most || value < -most) return 0;
      }
    }
  return reader->at - (reader->count >> 3) == reader->end;
}

static int64_t units_of(const Picture *picture, const Part *single) {
  int across = 8 * picture->most_across, down = 8 * picture->most_down;
  int64_t width = picture->width, height = picture->height;
  if (single != NULL) {
    /* A component by itself is coded block by block, without those that only fill up. */
    width = (width * single->across + picture->most_across - 1) / picture->most_across;
    height = (height * single->down + picture->most_down - 1) / picture->most_down;
    across = down = 8;
  }
  return ((width + across - 1) / across) * ((height + down - 1) / down);
}

/* Checks a scan whose header is given; `pixels` moves behind its pixels. */
static int check_scan(const Picture *picture, const uint8_t *header, const uint8_t **pixels) {
  Part *parts[MOST_PARTS];
  int count = header[0];
  if (count < 1 || count > picture->num_parts || header + 1 + 2 * count > *pixels) return DAMAGED;
  for (int i = 0; i < count; i++) {
    const uint8_t *named = header + 1 + 2 * i;
    parts[i] = NULL;
    for (int j = 0; j < picture->num_parts; j++)
      if (picture->parts[j].id == named[0]) parts[i] = (Part *)&picture->parts[j];
    if (parts[i] == NULL) return DAMAGED;
    if (!picture->brightness[named[1] >> 4 & 3].is_known || !picture->detail[named[1] & 3].is_known)
      return UNCHECKED;
  }
  int64_t left = units_of(picture, count == 1 ? parts[0] : NULL);
  for (int restarts = 0; left > 0; restarts++) {
    const uint8_t *stop = end_of_pixels(*pixels, picture->end), *marker = stop;
    int64_t units = picture->interval && picture->interval < left ? picture->interval : left;
    Reader reader = reader_of(picture->plain, *pixels, stop);
    while (picture->end - marker > 1 && marker[1] == 0xFF) marker++;
    if (picture->end - marker < 2) return DAMAGED;
    if (!is_sound_run(picture, parts, header + 1, count, units, &reader)) return DAMAGED;
    left -= units;
    if (left > 0 && marker[1] != RESTART + restarts % 8) return DAMAGED;
    *pixels = left > 0 ? marker + 2 : stop;
  }
  return WHOLE;
}

static int read_frame(Picture *picture, const uint8_t *body, const uint8_t *next) {
  if (next - body < 6 || body[5] < 1 || body[5] > MOST_PARTS) return 0;
  if (next - body < 6 + 3 * body[5]) return 0;
  picture->height = body[1] << 8 | body[2];
  picture->width = body[3] << 8 | body[4];
  picture->num_parts = body[5];
  for (int i = 0; i < picture->num_parts; i++) {
    const uint8_t *told = body + 6 + 3 * i;
    Part part = {told[0], told[1] >> 4, told[1] & 15, told[2] & 3};
    if (part.across < 1 || part.across > 4 || part.down < 1 || part.down > 4) return 0;
    if (part.across > picture->most_across) picture->most_across = part.across;
    if (part.down > picture->most_down) picture->most_down = part.down;
    picture->parts[i] = part;
  }
  return 1;
}

static int read_codes(Picture *picture, const uint8_t *body, const uint8_t *next) {
  while (next - body > LONGEST) {
    int values = 0, is_detail = body[0] >> 4 & 1;
    for (int i = 1; i <= LONGEST; i++) values += body[i];
    if (values > 256 || next - body < 1 + LONGEST + values) return 0;
    Table *table = (is_detail ? picture->detail : picture->brightness) + (body[0] & 3);
    if (!fill_table(table, body + 1, is_detail)) return 0;
    body += 1 + LONGEST + values;
  }
  return 1;
}

static int read_quantisers(Picture *picture, const uint8_t *body, const uint8_t *next) {
  while (body < next) {
    int is_wide = body[0] >> 4 != 0, length = 1 + COEFFICIENTS * (1 + is_wide);
    if (next - body < length) return 0;
    picture->quantisers[body[0] & 3] = is_wide ? body[1] << 8 | body[2] : body[1];
    body += length;
  }
  return 1;
}

static int is_bare(int marker) {
  return marker == 0x01 || (marker >= RESTART && marker <= LAST_RESTART);
}

static int check(Picture *picture, const uint8_t *at) {
  while (picture->end - at >= 4) {
    int marker = at[1], is_sound = at[0] == 0xFF;
    if (!is_sound) return DAMAGED;
    if (marker == 0xFF || is_bare(marker)) {
      at += marker == 0xFF ? 1 : 2;
      continue;
    }
    const uint8_t *body = at + 4, *next = at + 2 + (at[2] << 8 | at[3]);
    if (next < body || next > picture->end) return DAMAGED;
    if (marker == HUFFMAN_TABLES) {
      is_sound = read_codes(picture, body, next);
    } else if (marker == QUANTISATION) {
      is_sound = read_quantisers(picture, body, next);
    } else if (marker == FRAME || marker == EXTENDED_FRAME) {
      is_sound = read_frame(picture, body, next);
    } else if (marker == RESTART_INTERVAL && next - body >= 2) {
      picture->interval = body[0] << 8 | body[1];
    } else if (marker == SCAN) {
      if (picture->num_parts == 0) return UNCHECKED;
      int found = next == body ? DAMAGED : check_scan(picture, body, &next);
      if (found != WHOLE) return found;
    }
    if (!is_sound) return DAMAGED;
    at = next;
  }
  return WHOLE;
}

/* Checks a whole JPEG.
 *
 * data: the file, from its start marker to its end marker.
 * Returns WHOLE, DAMAGED, or UNCHECKED for progressive pictures, for those without tables of their
 * own, and without memory.
 */
int check_jpeg(const uint8_t *data, size_t size) {
  Picture picture = {.end = data + size, .quantisers = {1, 1, 1, 1}, .most_across = 1,
                     .most_down = 1};
  picture.brightness = calloc(8, sizeof *picture.brightness);
  picture.plain = malloc(size + SPARE);
  int found = UNCHECKED;
  if (picture.brightness != NULL && picture.plain != NULL && size > 2) {
    picture.detail = picture.brightness + 4;
    found = check(&picture, data + 2);
  }
  free(picture.brightness);
  free(picture.plain);
  return found;
}
