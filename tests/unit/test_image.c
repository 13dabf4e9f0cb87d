/* Unit tests of runtime/image.h: codecs on good, damaged and hostile bytes, resizing, the byte rules, grids.
   Assumes a writable /tmp; every file is made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/image.h"

#include <jpeglib.h>
#include <math.h>
#include <png.h>
#include <unistd.h>
#include <zlib.h>

static char err[IMAGE_ERR];

static void pattern(uint8_t *p, int h, int w, int c)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int k = 0; k < c; k++)
                *p++ = (uint8_t)(x * 7 + y * 5 + k * 60);
}

static StrBuf jpeg_of(const uint8_t *pixels, int h, int w, int c, bool cmyk)
{
    struct jpeg_compress_struct j;
    struct jpeg_error_mgr mgr;
    unsigned char *mem = NULL;
    unsigned long n = 0;
    j.err = jpeg_std_error(&mgr);
    jpeg_create_compress(&j);
    jpeg_mem_dest(&j, &mem, &n);
    j.image_width = (JDIMENSION)w;
    j.image_height = (JDIMENSION)h;
    j.input_components = c;
    j.in_color_space = cmyk ? JCS_CMYK : c == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&j);
    jpeg_set_quality(&j, 95, TRUE);
    jpeg_start_compress(&j, TRUE);
    for (int y = 0; y < h; y++) {
        JSAMPROW row = (JSAMPROW)(pixels + (size_t)(y * w * c));
        jpeg_write_scanlines(&j, &row, 1);
    }
    jpeg_finish_compress(&j);
    jpeg_destroy_compress(&j);
    StrBuf b = {0};
    sb_write(&b, mem, n);
    free(mem);
    return b;
}

static void to_strbuf(png_structp png, png_bytep p, png_size_t n)
{
    sb_write(png_get_io_ptr(png), p, n);
}

/* A PNG of any type and depth, optionally interlaced. */
static StrBuf png_of(const uint8_t *rows, size_t stride, int h, int w, int type, int depth, int interlace,
    const png_color *palette)
{
    StrBuf b = {0};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, &b, to_strbuf, NULL);
    png_set_IHDR(png, info, (png_uint_32)w, (png_uint_32)h, depth, type, interlace, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (palette)
        png_set_PLTE(png, info, palette, 4);
    png_write_info(png, info);
    int passes = interlace == PNG_INTERLACE_ADAM7 ? png_set_interlace_handling(png) : 1;
    while (passes--)
        for (int y = 0; y < h; y++)
            png_write_row(png, rows + (size_t)y * stride);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return b;
}

static void test_png_round_trip(void **state)
{
    (void)state;
    uint8_t p[9 * 13 * 3];
    for (int c = 1; c <= 3; c += 2)
        for (int level = 0; level <= 9; level += 3) {
            StrBuf b = {0};
            Image im;
            pattern(p, 9, 13, c);
            assert_true(image_encode_png(p, 9, 13, c, level, &b, err));
            assert_true(image_decode(b.s, b.len, &im, err));
            assert_int_equal(im.h, 9);
            assert_int_equal(im.w, 13);
            assert_int_equal(im.c, c);
            assert_memory_equal(im.pixels, p, (size_t)(9 * 13 * c));
            image_free(&im);
            sb_free(&b);
        }
}

static void test_png_kinds(void **state)
{
    (void)state;
    Image im;
    const png_color palette[4] = {{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {10, 20, 30}};
    const uint8_t two_bit[2] = {0x1b, 0xe4};                    /* 0 1 2 3 / 3 2 1 0 */
    StrBuf b = png_of(two_bit, 1, 2, 4, PNG_COLOR_TYPE_PALETTE, 2, PNG_INTERLACE_NONE, palette);
    assert_true(image_decode(b.s, b.len, &im, err));
    assert_int_equal(im.c, 3);
    const uint8_t want[12] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30};
    assert_memory_equal(im.pixels, want, 12);
    image_free(&im);
    sb_free(&b);

    const uint8_t one_bit[1] = {0xa0};                          /* 1 0 1 0 */
    b = png_of(one_bit, 1, 1, 4, PNG_COLOR_TYPE_GRAY, 1, PNG_INTERLACE_NONE, NULL);
    assert_true(image_decode(b.s, b.len, &im, err));
    assert_int_equal(im.c, 1);
    assert_memory_equal(im.pixels, ((uint8_t[]){255, 0, 255, 0}), 4);
    image_free(&im);
    sb_free(&b);

    const uint8_t deep[8] = {0x12, 0x12, 0xff, 0xff, 0x00, 0x00, 0x80, 0x80};
    b = png_of(deep, 8, 1, 4, PNG_COLOR_TYPE_GRAY, 16, PNG_INTERLACE_NONE, NULL);
    assert_true(image_decode(b.s, b.len, &im, err));
    assert_memory_equal(im.pixels, ((uint8_t[]){0x12, 255, 0, 0x80}), 4);
    image_free(&im);
    sb_free(&b);

    const uint8_t rgba[8] = {10, 20, 30, 255, 10, 20, 30, 0};   /* opaque, then transparent: white */
    b = png_of(rgba, 8, 1, 2, PNG_COLOR_TYPE_RGB_ALPHA, 8, PNG_INTERLACE_NONE, NULL);
    assert_true(image_decode(b.s, b.len, &im, err));
    assert_int_equal(im.c, 3);
    assert_memory_equal(im.pixels, ((uint8_t[]){10, 20, 30, 255, 255, 255}), 6);
    image_free(&im);
    sb_free(&b);

    uint8_t p[11 * 10 * 3];
    pattern(p, 11, 10, 3);
    b = png_of(p, 30, 11, 10, PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_ADAM7, NULL);
    assert_true(image_decode(b.s, b.len, &im, err));
    assert_memory_equal(im.pixels, p, sizeof p);
    image_free(&im);
    sb_free(&b);
}

static void test_jpeg(void **state)
{
    (void)state;
    uint8_t p[32 * 32 * 4];
    Image im;
    for (int c = 1; c <= 3; c += 2) {
        for (int i = 0; i < 32 * 32 * c; i++)
            p[i] = (uint8_t)(c == 1 ? 40 + i / 16 : 100 + 50 * (i % 3));
        StrBuf b = jpeg_of(p, 32, 32, c, false);
        assert_true(image_decode(b.s, b.len, &im, err));
        assert_int_equal(im.h, 32);
        assert_int_equal(im.c, c);
        for (int i = 0; i < 32 * 32 * c; i++)
            assert_true(abs(im.pixels[i] - p[i]) < 8);
        image_free(&im);
        sb_free(&b);
    }
    for (int i = 0; i < 32 * 32; i++)
        memcpy(p + 4 * i, "\x00\x80\xff\x00", 4);               /* plain CMYK: white minus (0, 128, 255) */
    StrBuf b = jpeg_of(p, 32, 32, 4, true);
    assert_true(image_decode(b.s, b.len, &im, err));
    assert_int_equal(im.c, 3);
    sb_free(&b);
    image_free(&im);
}

static void refuse(const void *bytes, size_t n, const char *says)
{
    Image im;
    err[0] = 0;
    assert_false(image_decode(bytes, n, &im, err));
    assert_null(im.pixels);
    if (!strstr(err, says))
        fail_msg("message %s does not say %s", err, says);
}

static void test_refusals(void **state)
{
    (void)state;
    refuse("", 0, "empty file");
    refuse("hello", 5, "not a PNG or JPEG");
    refuse("\x89PNG\r\n\x1a\n", 8, "corrupt PNG");
    refuse("\xff\xd8\xff\xe0", 4, "corrupt JPEG");
    /* Headers of 60000 x 60000 pixels with a right checksum. */
    uint8_t huge[41] = {0x89, 'P', 'N', 'G', 13, 10, 26, 10, 0, 0, 0, 13, 'I', 'H', 'D', 'R', 0, 0, 0xea, 0x60,
                        0, 0, 0xea, 0x60, 8, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'I', 'D', 'A', 'T'};
    uint32_t sum = (uint32_t)crc32(0, huge + 12, 17);
    for (int i = 0; i < 4; i++)
        huge[29 + i] = (uint8_t)(sum >> (24 - 8 * i));
    refuse(huge, sizeof huge, "absurd size 60000x60000");
    uint8_t p[32 * 32 * 3];
    pattern(p, 32, 32, 3);
    StrBuf b = jpeg_of(p, 32, 32, 3, false);
    /* The frame header's size made 65000 x 65000. */
    for (size_t i = 0; i + 9 < b.len; i++)
        if ((uint8_t)b.s[i] == 0xff && (uint8_t)b.s[i + 1] == 0xc0) {
            memcpy(b.s + i + 5, "\xfd\xe8\xfd\xe8", 4);
            break;
        }
    refuse(b.s, b.len, "absurd size 65000x65000");
    sb_free(&b);
}

/* Every truncation is refused, every single damaged byte is survived. */
static void test_damage(void **state)
{
    (void)state;
    uint8_t p[16 * 16 * 3];
    pattern(p, 16, 16, 3);
    StrBuf file[2] = {{0}, jpeg_of(p, 16, 16, 3, false)};
    assert_true(image_encode_png(p, 16, 16, 3, 6, &file[0], err));
    Image im;
    for (int f = 0; f < 2; f++) {
        size_t n = file[f].len;
        for (size_t cut = 0; cut + 2 < n; cut++) {
            uint8_t *part = xmalloc(cut + 1);                   /* its own block, so that a read past it is seen */
            memcpy(part, file[f].s, cut);
            assert_false(image_decode(part, cut, &im, err));
            free(part);
        }
        for (size_t at = 0; at < n; at++)
            for (int bit = 0; bit < 8; bit += 3) {
                file[f].s[at] ^= (char)(1 << bit);
                if (image_decode(file[f].s, n, &im, err))
                    image_free(&im);
                file[f].s[at] ^= (char)(1 << bit);
            }
        sb_free(&file[f]);
    }
}

static void test_byte_rules(void **state)
{
    (void)state;
    static const struct { float x; int metric, grid; } row[] = {
        {-1, 0, 0}, {1, 255, 255}, {0, 128, 128}, {-2, 0, 0}, {2, 255, 255}, {0.5f, 191, 191}, {-0.996f, 1, 1}, {0.999f, 255,
            255},
        {-0.9999f, 0, 0}, {NAN, 0, 0}, {INFINITY, 255, 255}, {-INFINITY, 0, 0}, {1e30f, 255, 255}};
    for (size_t i = 0; i < COUNT(row); i++) {
        assert_int_equal(image_byte(row[i].x, BYTES_METRIC), row[i].metric);
        assert_int_equal(image_byte(row[i].x, BYTES_GRID), row[i].grid);
    }
    for (int u = 0; u < 256; u++) {
        float x = (float)u / 127.5f - 1.0f;
        assert_int_equal(image_byte(x, BYTES_GRID), u);
    }
    uint8_t p[2 * 3 * 3], back[2 * 3 * 3];
    float f[2 * 3 * 3];
    pattern(p, 2, 3, 3);
    image_bytes_to_floats(p, 2, 3, 3, false, f);
    assert_true(f[6] == (float)p[1] / 127.5f - 1.0f);           /* green plane, first pixel */
    image_floats_to_bytes(f, 1, 2, 3, 3, BYTES_GRID, back);
    assert_memory_equal(p, back, sizeof p);
    image_bytes_to_floats(p, 2, 3, 3, true, f);
    assert_true(f[0] == (float)p[6] / 127.5f - 1.0f);
}

static void test_resize(void **state)
{
    (void)state;
    uint8_t p[20 * 30 * 3], out[32 * 32 * 3];
    memset(p, 77, sizeof p);
    image_crop_resize(p, 20, 30, 3, 32, out);
    for (size_t i = 0; i < sizeof out; i++)
        assert_int_equal(out[i], 77);
    image_crop_resize(p, 20, 30, 3, 7, out);
    for (size_t i = 0; i < 7 * 7 * 3; i++)
        assert_int_equal(out[i], 77);
    pattern(p, 20, 30, 1);
    image_crop_resize(p, 20, 30, 1, 20, out);                   /* a crop alone copies */
    for (int y = 0; y < 20; y++)
        assert_memory_equal(out + y * 20, p + y * 30 + 5, 20);
    uint8_t half[8 * 8], small[4 * 4];
    for (int i = 0; i < 64; i++)
        half[i] = i % 8 < 4 ? 0 : 200;
    image_crop_resize(half, 8, 8, 1, 4, small);
    assert_true(small[0] < 12 && small[3] > 188);
    uint8_t one = 9;
    image_crop_resize(&one, 1, 1, 1, 4, small);
    assert_int_equal(small[15], 9);
    uint8_t rgb[6] = {255, 255, 255, 255, 0, 0}, grey[2];
    image_set_channels(rgb, 3, grey, 1, 2);
    assert_int_equal(grey[0], 255);
    assert_int_equal(grey[1], 76);
    image_set_channels(grey, 1, rgb, 3, 2);
    assert_memory_equal(rgb, ((uint8_t[]){255, 255, 255, 76, 76, 76}), 6);
}

static void test_grid(void **state)
{
    (void)state;
    uint8_t p[5 * 2 * 3];                                       /* five grey images of 2 x 3 */
    for (int i = 0; i < 30; i++)
        p[i] = (uint8_t)(i / 6 * 10 + 5);
    char path[64];
    snprintf(path, sizeof path, "/tmp/test_image_%ld.png", (long)getpid());
    assert_true(image_write_grid(path, p, 5, 2, 3, 1, 0, err));
    size_t n;
    char *bytes = read_file(path, &n);
    Image im;
    assert_non_null(bytes);
    assert_true(image_decode(bytes, n, &im, err));
    assert_int_equal(im.w, 9);
    assert_int_equal(im.h, 4);
    assert_memory_equal(im.pixels + 27, ((uint8_t[]){35, 35, 35, 45, 45, 45, 0, 0, 0}), 9);
    image_free(&im);
    free(bytes);
    unlink(path);
    assert_false(image_write_grid("/nonexistent/x.png", p, 5, 2, 3, 1, 2, err));
    assert_non_null(strstr(err, "/nonexistent/x.png"));
    assert_false(image_write_grid(path, p, 0, 2, 3, 1, 2, err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_png_round_trip), cmocka_unit_test(test_png_kinds), cmocka_unit_test(test_jpeg),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_damage), cmocka_unit_test(test_byte_rules),
        cmocka_unit_test(test_resize), cmocka_unit_test(test_grid),
    };
    prog_name = "test_image";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
