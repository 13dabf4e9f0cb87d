/* PNG and JPEG codecs over libpng and libjpeg-turbo; every failure comes back as a message.
   Assumes whole files in memory; limits are checked on the header, before pixels are allocated. */
#include "runtime/image.h"

#include <errno.h>
#include <jpeglib.h>
#include <jerror.h>
#include <png.h>
#include <setjmp.h>

static bool size_ok(unsigned long w, unsigned long h, char err[IMAGE_ERR])
{
    if (w == 0 || h == 0 || w > IMAGE_MAX_SIDE || h > IMAGE_MAX_SIDE || w * h > IMAGE_MAX_PIXELS) {
        snprintf(err, IMAGE_ERR, "absurd size %lux%lu (at most %d a side and %d pixels)", w, h, IMAGE_MAX_SIDE, IMAGE_MAX_PIXELS);
        return false;
    }
    return true;
}

/* ---- PNG ---- */

typedef struct {
    const uint8_t *at, *end;
    uint8_t *pixels;
    png_bytep *rows;
    char *err;
} PngRead;

static NORETURN void png_failed(png_structp png, png_const_charp msg)
{
    snprintf(png_get_error_ptr(png), IMAGE_ERR, "corrupt PNG (%s)", msg);
    png_longjmp(png, 1);
}

static void png_quiet(png_structp png, png_const_charp msg)
{
    (void)png;
    (void)msg;
}

static void png_read_bytes(png_structp png, png_bytep to, png_size_t n)
{
    PngRead *r = png_get_io_ptr(png);
    if ((size_t)(r->end - r->at) < n)
        png_error(png, "the file ends too early");
    memcpy(to, r->at, n);
    r->at += n;
}

/* libpng leaves by longjmp: everything that must outlive it is in *r, reached by pointer. */
static bool png_read_all(png_structp png, png_infop info, PngRead *r, Image *out)
{
    if (setjmp(png_jmpbuf(png)))
        return false;
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);     /* size_ok says it better */
    png_set_chunk_malloc_max(png, 16 << 20);
    png_set_read_fn(png, r, png_read_bytes);
    png_read_info(png, info);
    png_uint_32 w = png_get_image_width(png, info), h = png_get_image_height(png, info);
    if (!size_ok(w, h, r->err))
        return false;
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    int c = png_get_channels(png, info);
    size_t row = (size_t)w * (size_t)c;
    if (c < 1 || c > 4 || png_get_bit_depth(png, info) != 8 || png_get_rowbytes(png, info) != row)
        png_error(png, "unexpected pixel format");
    r->pixels = xmalloc(row * h);
    r->rows = xmalloc(h * sizeof *r->rows);
    for (png_uint_32 y = 0; y < h; y++)
        r->rows[y] = r->pixels + y * row;
    png_read_image(png, r->rows);
    png_read_end(png, NULL);
    *out = (Image){.h = (int)h, .w = (int)w, .c = c};
    return true;
}

/* 2 or 4 channels to 1 or 3 in place: composite on white. */
static void drop_alpha(Image *im)
{
    if (im->c == 1 || im->c == 3)
        return;
    int c = im->c - 1;
    for (int64_t i = 0, n = (int64_t)im->h * im->w; i < n; i++) {
        const uint8_t *from = im->pixels + i * im->c;
        uint8_t *to = im->pixels + i * c;
        int a = from[c];
        for (int k = 0; k < c; k++)
            to[k] = (uint8_t)((from[k] * a + 255 * (255 - a) + 127) / 255);
    }
    im->c = c;
}

static bool decode_png(const uint8_t *bytes, size_t n, Image *out, char err[IMAGE_ERR])
{
    PngRead r = {.at = bytes, .end = bytes + n, .err = err};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, err, png_failed, png_quiet);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    bool ok = false;
    if (info)
        ok = png_read_all(png, info, &r, out);
    else
        snprintf(err, IMAGE_ERR, "no memory for the PNG reader");
    png_destroy_read_struct(&png, &info, NULL);
    free(r.rows);
    if (!ok) {
        free(r.pixels);
        return false;
    }
    out->pixels = r.pixels;
    drop_alpha(out);
    return true;
}

static void png_write_bytes(png_structp png, png_bytep from, png_size_t n)
{
    sb_write(png_get_io_ptr(png), from, n);
}

static void png_write_flush_nothing(png_structp png)
{
    (void)png;
}

static bool png_write_all(png_structp png, png_infop info, const uint8_t *pixels, int h, int w, int c, int level, StrBuf *out)
{
    if (setjmp(png_jmpbuf(png)))
        return false;
    png_set_write_fn(png, out, png_write_bytes, png_write_flush_nothing);
    png_set_compression_level(png, level);
    if (level == 0)
        png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_FILTER_NONE);
    png_set_IHDR(png, info, (png_uint_32)w, (png_uint_32)h, 8, c == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < h; y++)
        png_write_row(png, pixels + (size_t)y * (size_t)w * (size_t)c);
    png_write_end(png, info);
    return true;
}

bool image_encode_png(const uint8_t *pixels, int h, int w, int c, int level, StrBuf *out, char err[IMAGE_ERR])
{
    CHECK_BUG(c == 1 || c == 3);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, err, png_failed, png_quiet);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    bool ok = false;
    if (info)
        ok = png_write_all(png, info, pixels, h, w, c, level, out);
    else
        snprintf(err, IMAGE_ERR, "no memory for the PNG writer");
    png_destroy_write_struct(&png, &info);
    return ok;
}

bool image_write_png(const char *path, const uint8_t *pixels, int h, int w, int c, int level, char err[IMAGE_ERR])
{
    StrBuf b = {0};
    bool ok = image_encode_png(pixels, h, w, c, level, &b, err);
    if (ok && !write_file_atomic(path, b.s, b.len)) {
        snprintf(err, IMAGE_ERR, "cannot write %s: %s", path, strerror(errno));
        ok = false;
    }
    sb_free(&b);
    return ok;
}

/* ---- JPEG ---- */

typedef struct {
    struct jpeg_error_mgr mgr;      /* first: libjpeg hands this struct back by pointer to its first member */
    jmp_buf leave;
    char *err;
    bool damaged;
    uint8_t *pixels, *row;
} JpegRead;

static NORETURN void jpeg_failed(j_common_ptr j)
{
    JpegRead *r = (JpegRead *)(void *)j->err;
    char msg[JMSG_LENGTH_MAX];
    j->err->format_message(j, msg);
    snprintf(r->err, IMAGE_ERR, "corrupt JPEG (%.180s)", msg);
    longjmp(r->leave, 1);
}

/* libjpeg paints damaged parts grey and goes on; for a data set that is an error. */
static void jpeg_message(j_common_ptr j, int level)
{
    static const int fatal[] = {JWRN_JPEG_EOF, JWRN_HIT_MARKER, JWRN_HUFF_BAD_CODE, JWRN_MUST_RESYNC, JWRN_BOGUS_PROGRESSION,
                                JWRN_ARITH_BAD_CODE};
    JpegRead *r = (JpegRead *)(void *)j->err;
    if (level >= 0 || r->damaged)
        return;
    for (size_t i = 0; i < COUNT(fatal); i++)
        if (j->err->msg_code == fatal[i]) {
            char msg[JMSG_LENGTH_MAX];
            j->err->format_message(j, msg);
            snprintf(r->err, IMAGE_ERR, "corrupt JPEG (%.180s)", msg);
            r->damaged = true;
        }
}

/* A row of CMYK to RGB; Adobe's files hold it inverted. */
static void cmyk_row(const uint8_t *from, uint8_t *to, int w, bool inverted)
{
    for (int x = 0; x < w; x++)
        for (int k = 0; k < 3; k++) {
            int v = from[4 * x + k], black = from[4 * x + 3];
            if (!inverted) {
                v = 255 - v;
                black = 255 - black;
            }
            to[3 * x + k] = (uint8_t)((v * black + 127) / 255);
        }
}

static bool jpeg_read_all(struct jpeg_decompress_struct *j, JpegRead *r, const uint8_t *bytes, size_t n, Image *out)
{
    if (setjmp(r->leave))
        return false;
    jpeg_create_decompress(j);
    jpeg_mem_src(j, bytes, n);
    jpeg_read_header(j, TRUE);
    if (!size_ok(j->image_width, j->image_height, r->err))
        return false;
    bool cmyk = j->jpeg_color_space == JCS_CMYK || j->jpeg_color_space == JCS_YCCK;
    bool grey = j->jpeg_color_space == JCS_GRAYSCALE;
    j->out_color_space = cmyk ? JCS_CMYK : grey ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(j);
    int w = (int)j->output_width, h = (int)j->output_height, c = grey ? 1 : 3;
    size_t row = (size_t)w * (size_t)c;
    r->pixels = xmalloc(row * (size_t)h);
    r->row = cmyk ? xmalloc((size_t)w * 4) : NULL;
    while (j->output_scanline < j->output_height) {
        uint8_t *to = r->pixels + j->output_scanline * row;
        JSAMPROW line = cmyk ? r->row : to;
        jpeg_read_scanlines(j, &line, 1);
        if (cmyk)
            cmyk_row(r->row, to, w, j->saw_Adobe_marker);
    }
    jpeg_finish_decompress(j);
    *out = (Image){.h = h, .w = w, .c = c};
    return !r->damaged;
}

static bool decode_jpeg(const uint8_t *bytes, size_t n, Image *out, char err[IMAGE_ERR])
{
    struct jpeg_decompress_struct j = {0};
    JpegRead r = {.err = err};
    j.err = jpeg_std_error(&r.mgr);
    r.mgr.error_exit = jpeg_failed;
    r.mgr.emit_message = jpeg_message;
    bool ok = jpeg_read_all(&j, &r, bytes, n, out);
    jpeg_destroy_decompress(&j);
    free(r.row);
    if (ok)
        out->pixels = r.pixels;
    else
        free(r.pixels);
    return ok;
}

/* ---- both ---- */

bool image_decode(const void *bytes, size_t n, Image *out, char err[IMAGE_ERR])
{
    const uint8_t *b = bytes;
    *out = (Image){0};
    if (n >= 8 && !png_sig_cmp(b, 0, 8))
        return decode_png(b, n, out, err);
    if (n >= 3 && b[0] == 0xff && b[1] == 0xd8 && b[2] == 0xff)
        return decode_jpeg(b, n, out, err);
    snprintf(err, IMAGE_ERR, n ? "not a PNG or JPEG image" : "an empty file");
    return false;
}

void image_free(Image *im)
{
    free(im->pixels);
    *im = (Image){0};
}
