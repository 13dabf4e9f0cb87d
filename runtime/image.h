/* Images: PNG and JPEG to bytes and back, cropping and resizing, grids, and the byte <-> float rules.
   Assumes 8 bits a channel, 1 (grey) or 3 (RGB) channels; bytes are HWC, floats are CHW in [-1, 1]. */
#ifndef ECT_IMAGE_H
#define ECT_IMAGE_H
#include "runtime/base.h"

enum {
    IMAGE_ERR = 256,                /* size of every `err` buffer */
    IMAGE_MAX_SIDE = 16384,         /* larger images are refused before anything is allocated */
    IMAGE_MAX_PIXELS = 1 << 26
};

typedef struct {
    int h, w, c;
    uint8_t *pixels;                /* [h][w][c], on the heap, owned by the image */
} Image;

/* Decodes a PNG or JPEG held in memory. Palettes are expanded, 16 bits scaled to 8, alpha composited on white, CMYK made RGB.
   False with a message (no file name in it) for anything damaged, truncated, too large or of another format; never exits. */
bool image_decode(const void *bytes, size_t n, Image *out, char err[IMAGE_ERR]);
void image_free(Image *im);

/* Appends a PNG of [h][w][c] bytes to out; level is zlib's 0..9. The bytes are a pure function of the arguments. */
bool image_encode_png(const uint8_t *pixels, int h, int w, int c, int level, StrBuf *out, char err[IMAGE_ERR]);
/* The same into a file, atomically. False with a message naming the file. */
bool image_write_png(const char *path, const uint8_t *pixels, int h, int w, int c, int level, char err[IMAGE_ERR]);
/* Lays images [count][h][w][c] out row by row, `columns` to a row (0: about square), into one PNG; empty places are black. */
bool image_write_grid(const char *path, const uint8_t *images, int64_t count, int h, int w, int c, int columns,
                      char err[IMAGE_ERR]);

/* Copies h x w pixels between channel counts: 1 -> 3 repeats, 3 -> 1 takes the luma (ITU-R 601). */
void image_set_channels(const uint8_t *from, int from_c, uint8_t *to, int to_c, int64_t pixels);
/* The centred square, resized to side x side with a Lanczos filter into out [side][side][c]. A square of that side is copied. */
void image_crop_resize(const uint8_t *pixels, int h, int w, int c, int side, uint8_t *out);

/* The two 8-bit rules: for metrics and folders trunc(clamp(127.5 x + 128, 0, 255)), for grids rint((x + 1) 127.5) clipped.
   NaN becomes 0 under both. */
typedef enum { BYTES_METRIC, BYTES_GRID } ByteRule;
uint8_t image_byte(float x, ByteRule rule);
/* n images of floats [n][c][h][w] to bytes [n][h][w][c]. */
void image_floats_to_bytes(const float *nchw, int64_t n, int h, int w, int c, ByteRule rule, uint8_t *nhwc);
/* One image of bytes [h][w][c] to floats u/127.5 - 1 in [c][h][w]; `mirror` flips left and right. */
void image_bytes_to_floats(const uint8_t *hwc, int h, int w, int c, bool mirror, float *chw);
#endif
